"""Custom timetables: how they are serialized, and what they say when they are asked.

Airflow takes only timetables that a plugin registers, since its scheduler must import the class by itself. Here the
class is always found through the DAG file that uses it, so any class will do.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pendulum
from airflow.serialization import encoders, serialized_objects
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

#: Key of a serialized custom timetable that says whether it is periodic; Airflow's own never have it.
PERIODIC = "periodic"

#: How Airflow's importer names the module of a DAG file: a prefix with a hash of its absolute path, then the name.
_DAG_FILE_MODULE = re.compile(r"^unusual_prefix_[0-9a-f]+_")

_encode = encoders.encode_timetable


def take_custom_classes() -> None:
    """Have Airflow's serializer take timetables of classes that no plugin registers."""
    for module in (encoders, serialized_objects):
        module.encode_timetable = _encode_any  # type: ignore[attr-defined]


def _encode_any(timetable: Any) -> dict[str, Any]:
    if not is_custom(timetable):
        return _encode(timetable)
    if not isinstance(timetable, Timetable):
        raise ValueError(
            f"the timetable {class_path(timetable)} lacks methods of airflow.timetables.base.Timetable: derive it from "
            "that class"
        )
    return {
        "__type": class_path(timetable),
        "__var": timetable.serialize(),
        PERIODIC: bool(timetable.periodic),
    }


def is_custom(timetable: Any) -> bool:
    """Tell whether a timetable is of a class that Airflow does not bring along."""
    if type(timetable) in encoders._serializer.BUILTIN_TIMETABLES:
        return False
    return not class_path(timetable).startswith("airflow.timetables.")


def class_path(timetable: Any) -> str:
    """Name the class, without what depends on where the DAG file lies."""
    cls = type(timetable)
    return f"{_DAG_FILE_MODULE.sub('', cls.__module__)}.{cls.__qualname__}"


def answer(timetable: Any, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask the timetable; each run that it gives is an entry."""
    match question["ask"]:
        case "next":
            run = timetable.next_dagrun_info_v2(
                last_dagrun_info=_last(question["last"]),
                restriction=TimeRestriction(
                    _instant(question["earliest"]), _instant(question["latest"]), question["catchup"]
                ),
            )
            return [] if run is None else [_described(run)]
        case "manual":
            at = pendulum.parse(question["run_after"])
            interval = timetable.infer_manual_data_interval(run_after=at)
            return [_described(DagRunInfo(run_after=at, data_interval=interval))]
        case "between":
            earliest, latest = pendulum.parse(question["earliest"]), pendulum.parse(question["latest"])
            runs = _following(timetable, TimeRestriction(earliest, latest, catchup=True))
            return [_described(run) for run, _ in zip(runs, range(question["limit"]))]
        case other:
            raise ValueError(f"unknown question {other!r}")


def ahead(dag: Any, count: int) -> list[str]:
    """The next times at which a DAG becomes due, as if it had never run and without what catchup makes for the past."""
    restriction = TimeRestriction(_earliest(dag), dag.end_date, catchup=False)
    now = pendulum.now("UTC")
    to_come = (run for run in _following(dag.timetable, restriction) if run.run_after > now)
    return [_described(run)["run_after"] for run, _ in zip(to_come, range(count))]


def _earliest(dag: Any) -> Any:
    dates = [task.start_date for task in dag.tasks if task.start_date] + [dag.start_date]
    return min((date for date in dates if date), default=None)


def _following(timetable: Any, restriction: TimeRestriction) -> Iterator[DagRunInfo]:
    last: DagRunInfo | None = None
    while run := timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction):
        if last is not None and run.run_after <= last.run_after:
            raise ValueError(f"the timetable gives {run.run_after} after {last.run_after}: it does not move on")
        yield run
        last = run


def _last(interval: list[str] | None) -> DagRunInfo | None:
    if interval is None:
        return None
    start, end = (pendulum.parse(at) for at in interval)
    return DagRunInfo(run_after=end, data_interval=DataInterval(start, end))


def _instant(at: str | None) -> Any:
    return None if at is None else pendulum.parse(at)


def _described(run: Any) -> dict[str, Any]:
    if not isinstance(run, DagRunInfo):
        raise TypeError(f"the timetable gave {type(run).__name__} where a DagRunInfo is due")
    interval = run.data_interval
    return {
        "run_after": _text("run_after", run.run_after),
        "data_interval_start": interval and _text("data_interval.start", interval.start),
        "data_interval_end": interval and _text("data_interval.end", interval.end),
    }


def _text(name: str, at: Any) -> str:
    if not isinstance(at, datetime.datetime):
        raise TypeError(f"{name} of the timetable's answer is {type(at).__name__}, not a datetime")
    if at.tzinfo is None:
        raise ValueError(f"{name} of the timetable's answer has no time zone: {at}")
    return at.astimezone(datetime.timezone.utc).isoformat()
