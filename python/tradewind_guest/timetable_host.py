"""Asks the custom timetable of a DAG file when the DAG runs."""

from __future__ import annotations

import socket
import traceback
from pathlib import Path
from typing import Any

from tradewind_guest import parse_host, timetables, wire
from tradewind_guest.parse_errors import explain


def run(prelude: dict[str, Any], channel: socket.socket) -> None:
    """Load the file named in ``prelude``, ask, and write ``{"runs": [...]}`` or ``{"error": {...}}``."""
    parse_host.confine(prelude, channel)
    file = Path(prelude["file"])
    try:
        timetable = _timetable(Path(prelude["dags_root"]), file, prelude)
        result: dict[str, Any] = {"runs": timetables.answer(timetable, prelude["question"])}
    except _NoDag as error:
        result = {"error": explain(str(error), str(file))}
    except BaseException:
        text = traceback.format_exc()
        result = {"error": explain(text, str(file), prelude["memory_limit_bytes"])}
    wire.write_frame(channel, result)


class _NoDag(Exception):
    """The file does not give the DAG."""


def _timetable(root: Path, file: Path, prelude: dict[str, Any]) -> Any:
    bag = parse_host.load(root, file, prelude["bundle_name"])
    dag = bag.dags.get(prelude["dag_id"])
    if dag is None:
        reasons = "\n".join(bag.import_errors.values())
        raise _NoDag(reasons or f"the file has no DAG {prelude['dag_id']!r}")
    return dag.timetable
