"""Runs cases on Tradewind and compares their outcomes with Airflow's goldens."""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cases import HERE, Case

DIFFERENCES = HERE / "differences.toml"
ABSENT = "<absent>"
SHOWN = 6


@dataclass(frozen=True)
class Difference:
    """A place where Airflow and Tradewind do not agree."""

    path: str
    airflow: Any
    tradewind: Any

    def __str__(self) -> str:
        return f"{self.path}: airflow {short(self.airflow)}, tradewind {short(self.tradewind)}"


@dataclass
class Listed:
    """A difference that differences.toml declares."""

    dag: str
    what: str
    reason: str
    #: It depends on what comes first: it need not occur.
    sometimes: bool = False
    seen: bool = False

    def covers(self, case: str, difference: Difference) -> bool:
        return fnmatchcase(case, self.dag) and fnmatchcase(difference.path, self.what)


@dataclass
class Verdict:
    """What became of one case."""

    case: Case
    seconds: float
    differences: list[Difference] = field(default_factory=list)
    listed: int = 0
    trouble: str = ""

    @property
    def word(self) -> str:
        if self.trouble:
            return "FAILED"
        if self.differences:
            return "DIFFERS"
        return "agrees*" if self.listed else "agrees"


def short(value: Any) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 160 else f"{text[:157]}..."


def keyed(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome with runs by their ids, instead of in a list."""
    dags = {}
    for dag_id, dag in outcome["dags"].items():
        runs: dict[str, Any] = {}
        for run in dag["runs"]:
            name, number = run["run_id"], 2
            while name in runs:
                name, number = f"{run['run_id']}#{number}", number + 1
            runs[name] = run
        dags[dag_id] = {**dag, "runs": runs}
    return {**outcome, "dags": dags}


def differences(airflow: Any, tradewind: Any, path: str = "") -> Iterator[Difference]:
    """Every place where two outcomes differ; what one of them lacks is one difference."""
    if isinstance(airflow, dict) and isinstance(tradewind, dict):
        for key in sorted({*airflow, *tradewind}):
            below = f"{path}.{key}" if path else key
            yield from differences(airflow.get(key, ABSENT), tradewind.get(key, ABSENT), below)
    elif isinstance(airflow, list) and isinstance(tradewind, list) and len(airflow) == len(tradewind):
        for index, (left, right) in enumerate(zip(airflow, tradewind)):
            yield from differences(left, right, f"{path}.{index}")
    elif airflow != tradewind or type(airflow) is not type(tradewind):
        yield Difference(path, airflow, tradewind)


def load_listed() -> list[Listed]:
    raw = tomllib.loads(DIFFERENCES.read_text())
    found = [Listed(**entry) for entry in raw.get("difference", [])]
    for entry in found:
        if not entry.reason.strip():
            raise SystemExit(f"{DIFFERENCES}: {entry.dag} {entry.what} gives no reason")
    return found


def judge(case: Case, outcome: dict[str, Any] | None, trouble: str, seconds: float, listed: list[Listed]) -> Verdict:
    verdict = Verdict(case, seconds, trouble=trouble)
    if outcome is None:
        return verdict
    if not case.golden.exists():
        verdict.trouble = f"there is no golden; make it with scripts/conformance.sh --regenerate {case.name}"
        return verdict
    golden = json.loads(case.golden.read_text())
    for difference in differences(keyed(golden), keyed(json.loads(json.dumps(outcome)))):
        covering = [entry for entry in listed if entry.covers(case.name, difference)]
        for entry in covering:
            entry.seen = True
        if covering:
            verdict.listed += 1
        else:
            verdict.differences.append(difference)
    return verdict


def report(verdict: Verdict) -> None:
    print(f"{verdict.word:8} {verdict.case.name:32} {verdict.seconds:5.0f} s  {verdict.case.title}", flush=True)
    if verdict.trouble:
        print("         " + verdict.trouble.strip().splitlines()[0][:300], flush=True)
    for difference in verdict.differences[:SHOWN]:
        print(f"         {difference}", flush=True)
    if len(verdict.differences) > SHOWN:
        print(f"         and {len(verdict.differences) - SHOWN} more", flush=True)


def compare_all(cases: list[Case], jobs: int, keep: Path | None, patience: float) -> int:
    from run import drive, dump, each, install
    from tradewind_driver import TradewindDriver

    listed = load_listed()
    folder = Path(tempfile.mkdtemp(prefix="tradewind-conformance-"))
    driver = TradewindDriver(folder)
    install(cases, driver)
    verdicts: list[Verdict] = []
    try:
        driver.start()
        for case, (outcome, trouble, seconds) in each(cases, jobs, lambda c: drive(c, driver, patience)):
            if keep and outcome is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / case.golden.name).write_text(dump(outcome))
            verdicts.append(judge(case, outcome, trouble, seconds, listed))
            report(verdicts[-1])
    finally:
        driver.stop()
    code = conclude(verdicts, listed, {case.name for case in cases})
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"the log and the store of Tradewind are in {folder}")
    return code


def conclude(verdicts: list[Verdict], listed: list[Listed], ran: set[str]) -> int:
    """Prints the sums; 0 when all agree but for what is listed, and all that is listed was seen."""
    bad = [verdict for verdict in verdicts if verdict.trouble or verdict.differences]
    unseen = [entry for entry in listed if not (entry.seen or entry.sometimes)]
    stale = [entry for entry in unseen if any(fnmatchcase(name, entry.dag) for name in ran)]
    for entry in stale:
        print(
            f"STALE    {entry.dag} {entry.what}: differences.toml lists it, but it does not occur any more; remove it"
        )
    areas: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        areas.setdefault(verdict.case.area, []).append(verdict)
    print()
    for area, found in sorted(areas.items()):
        good = sum(not (verdict.trouble or verdict.differences) for verdict in found)
        print(f"{area:16} {good:3} of {len(found):3} agree")
    dags = sum(len(verdict.case.dag_ids) or 1 for verdict in verdicts)
    print(
        f"{len(verdicts) - len(bad)} of {len(verdicts)} cases agree ({dags} DAGs), {len(bad)} do not,"
        f" {len(stale)} stale differences"
    )
    return 1 if bad or stale else 0
