"""Writes the table of cases in README.md, from the docstrings of the DAG files; `--check` says whether it is right."""

from __future__ import annotations

import sys

from cases import HERE, Case, all_cases

README = HERE / "README.md"
BEGIN, END = "<!-- cases -->", "<!-- /cases -->"


def table(cases: list[Case]) -> str:
    lines: list[str] = []
    dags = sum(len(case.dag_ids) or 1 for case in cases)
    lines.append(f"{len(cases)} cases, {dags} DAGs.")
    for area in sorted({case.area for case in cases}):
        lines += ["", f"### {area}", "", "| case | DAGs | what it covers |", "|---|---|---|"]
        for case in cases:
            if case.area == area:
                title = case.title.rstrip(".").replace("|", "\\|")
                lines.append(f"| `{case.name}` | {len(case.dag_ids) or 1} | {title} |")
    return "\n".join(lines)


def main() -> int:
    text = README.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n{table(all_cases())}\n{END}{after}"
    if "--check" in sys.argv:
        if text != wanted:
            print(f"{README}: the table of cases is not that of the DAG files; run {sys.argv[0]}", file=sys.stderr)
            return 1
        return 0
    README.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
