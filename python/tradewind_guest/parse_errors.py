"""Turns the text of an import failure into one that says what to do about it."""

from __future__ import annotations

import re
from typing import Any

from tradewind_guest import missing_modules


def explain(text: str, file: str | None, memory_limit_bytes: int | None = None) -> dict[str, Any]:
    """Split a formatted traceback (or a bare message) into message, line of the DAG file, and traceback."""
    message = _last_exception(text)
    return {
        "message": _in_plain_words(message, text, memory_limit_bytes),
        "line": _line_of(text, file) if file else None,
        "traceback": _without_loader(text) if "Traceback (most recent call last)" in text else None,
    }


def _last_exception(text: str) -> str:
    """Return the last exception of a traceback with all lines of its message."""
    lines = text.rstrip().splitlines()
    start = 0
    for index in range(1, len(lines)):
        if lines[index - 1].startswith(" ") and lines[index] and not lines[index].startswith(" "):
            start = index
    return "\n".join(lines[start:])


def _line_of(text: str, file: str) -> int | None:
    hits = re.findall(rf'File "{re.escape(file)}", line (\d+)', text)
    return int(hits[-1]) if hits else None


def _without_loader(text: str) -> str:
    """Drop the frames of Airflow's importer and Python's import machinery: they are the same for every file."""
    kept = []
    drop = False
    for line in text.splitlines():
        if line.startswith('  File "'):
            drop = "<frozen importlib" in line or "/dag_processing/importers/" in line
        elif not line.startswith("    "):
            drop = False
        if not drop:
            kept.append(line)
    return "\n".join(kept)


def _in_plain_words(message: str, text: str, memory_limit_bytes: int | None) -> str:
    if found := re.match(r"ModuleNotFoundError: No module named '([\w.]+)'", message):
        return f"{message} (hint: {missing_modules.hint(found[1], text)})"
    if found := re.match(r"SystemExit(?:: (.*))?$", message, re.DOTALL):
        return f"the file called sys.exit({found[1] or ''}) while it was imported"
    if message.startswith("MemoryError"):
        limit = f" ({memory_limit_bytes // 2**20} MiB)" if memory_limit_bytes else ""
        return f"MemoryError: the file asked for more memory than a DAG file may use{limit}"
    if found := re.match(r"\S*AirflowTaskTimeout: DagBag import timeout for .* after ([\d.]+)s", message):
        return f"the file was still importing after {float(found[1]):g} s (is there an endless loop or slow call at top level?)"
    return re.sub(r"^(?:airflow|builtins)[\w.]*\.(\w+)(?=:|$)", r"\1", message)
