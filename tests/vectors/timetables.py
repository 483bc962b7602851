"""Writes timetables.jsonl, serialized.jsonl and crons.jsonl: what Airflow's own timetable classes answer.

Run it with an interpreter that has apache-airflow-core (the repository's .venv): `python tests/vectors/timetables.py`.
The classes are asked directly; only the clock that they read is replaced. The seed is fixed, the output is committed.

A line of timetables.jsonl is one timetable: `t` is its form in Tradewind (`tradewind_types::Timetable`), `runs` holds
`[catchup, earliest, latest, last, now, chain]` and `manual` holds `[run_after, start, end]`. Instants are seconds of the
epoch. A chain is what comes run after run, each asked for when the one before fell due: `end`, or `[start, end]` of the
data interval (in all these classes the run is due at its end, its logical date is its start); a last `null` says that no
run follows, `"!..."` that the class raised that exception. For partitioned timetables a link is `[run_after, key]`.

A line of serialized.jsonl is a timetable as Airflow serializes it, with one of `runs` for what it reads back from that; a
line of crons.jsonl is an expression with what croniter makes of it.
"""

from __future__ import annotations

import calendar
import json
import os
import random
import sys
import tempfile
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp())
zoneinfo.reset_tzpath(to=[])  # The tzdata package, not the machine's zones: the same on every machine.

import pendulum  # noqa: E402
from airflow._shared.timezones import timezone  # noqa: E402
from airflow.serialization.decoders import decode_timetable  # noqa: E402
from airflow.serialization.encoders import encode_timetable  # noqa: E402
from airflow.timetables import interval, trigger  # noqa: E402
from airflow.timetables.base import DataInterval, TimeRestriction, Timetable  # noqa: E402
from airflow.timetables.events import EventsTimetable  # noqa: E402
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable  # noqa: E402
from airflow.timetables.simple import ContinuousTimetable, NullTimetable, OnceTimetable  # noqa: E402
from airflow.timetables.trigger import (  # noqa: E402
    CronPartitionTimetable,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    MultipleCronTriggerTimetable,
)
from croniter import CroniterError, croniter  # noqa: E402
from dateutil import relativedelta as rd  # noqa: E402
from dateutil.relativedelta import relativedelta  # noqa: E402

from expressions import BORDERS, Expressions  # noqa: E402
from zones import CHANGED, Nights  # noqa: E402

HERE = Path(__file__).parent
SEED = 20261121
TIMETABLES = 3300
RUNS, MANUAL, CHAIN = 5, 2, 4
MICRO = timedelta(microseconds=1)
Delta = timedelta | relativedelta
draw = random.Random(SEED)
nights = Nights(draw)
expressions = Expressions(draw)


class Clock:
    """The clock that the classes read, in each of the modules that looks at it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        for module in (timezone, trigger, interval):
            module.utcnow = self.now
        trigger.time = SimpleNamespace(time=lambda: self.at.timestamp())
        trigger.log = SimpleNamespace(info=lambda *_, **__: None)

    def now(self) -> datetime:
        return self.at.astimezone(pendulum.UTC)


clock = Clock()


def seconds(at: datetime | None) -> int | float | None:
    if at is None:
        return None
    whole = calendar.timegm(at.utctimetuple())
    return whole if at.microsecond == 0 else round(whole + at.microsecond / 1_000_000, 6)


def instant(at: datetime) -> pendulum.DateTime:
    return pendulum.instance(at.astimezone(UTC))


def delta_form(delta: Delta) -> dict[str, Any]:
    """A step as `tradewind_types::Delta` writes it."""
    if isinstance(delta, timedelta):
        return form(micros=delta // MICRO)
    span = timedelta(days=delta.days, hours=delta.hours, minutes=delta.minutes, seconds=delta.seconds)
    fields = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    replace = {name: value for name in fields if (value := getattr(delta, name)) is not None}
    if delta.leapdays:
        replace["leapdays"] = delta.leapdays
    if delta.weekday is not None:
        replace["weekday"] = [delta.weekday.weekday, delta.weekday.n or 1]
    micros = span // MICRO + delta.microseconds
    return form(months=delta.years * 12 + delta.months, micros=micros, replace=replace)


def form(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def random_timedelta() -> timedelta:
    return draw.choice(
        [
            timedelta(seconds=draw.randint(1, 86_400 * 40)),
            timedelta(minutes=draw.choice([1, 5, 7, 10, 15, 30, 45, 90, 1000])),
            timedelta(hours=draw.choice([1, 2, 3, 5, 6, 12, 24, 25, 36])),
            timedelta(days=draw.choice([1, 1, 2, 7, 14, 28, 30, 100, 365])),
            timedelta(seconds=draw.choice([0.5, 2.5, 0.1, 30.25, 3600.001, 1 / 3])),
        ]
    )


def random_relativedelta() -> relativedelta:
    """A step of calendar units, now and then with fields that it sets; always forward."""
    fields: dict[str, Any] = {}
    for unit, most in (("years", 2), ("months", 14), ("weeks", 5), ("days", 40), ("hours", 30), ("minutes", 100)):
        if draw.random() < (0.5 if unit == "months" else 0.2):
            fields[unit] = draw.randint(1, most)
    if draw.random() < 0.1:
        fields["seconds"] = draw.randint(1, 100)
    if draw.random() < 0.1 and fields.get("months"):
        fields["days"] = draw.randint(-20, -1)
    if not fields:
        fields["months"] = draw.choice([1, 1, 2, 3, 6])
    if draw.random() < 0.35:
        if draw.random() < 0.5 and ("months" in fields or "years" in fields):
            fields["day"] = draw.choice([1, 1, 15, 28, 29, 30, 31])
        if draw.random() < 0.4 and "years" in fields:
            fields["month"] = draw.randint(1, 12)
        if draw.random() < 0.4 and fields.keys() & {"years", "months", "weeks"}:
            fields["hour"] = draw.randint(0, 23)
            fields["minute"] = draw.randint(0, 59)
        if draw.random() < 0.4 and fields.keys() & {"years", "months"}:
            fields["weekday"] = draw.choice([rd.MO, rd.WE, rd.FR, rd.SU])(draw.choice([1, 1, 2, -1, -2]))
        if draw.random() < 0.2 and "years" in fields:
            fields["leapdays"] = draw.choice([-1, 1])
    return relativedelta(**fields)


def random_delta() -> Delta:
    return random_timedelta() if draw.random() < 0.5 else random_relativedelta()


def random_interval() -> Delta:
    kind = draw.random()
    if kind < 0.6:
        return timedelta()
    if kind < 0.85:
        return random_timedelta()
    return draw.choice([random_relativedelta(), relativedelta(day=1), relativedelta(days=1, hour=0, minute=0)])


def random_immediately() -> tuple[bool | timedelta | None, Any]:
    kind = draw.random()
    if kind < 0.5:
        return draw.choice([(False, "Auto"), (None, "Auto")])
    if kind < 0.75:
        return True, "Yes"
    within = timedelta(seconds=draw.choice([0, 60, 600, 3600, 7200, 40_000, 86_400, 1_000_000]))
    return within, {"Within": within // MICRO}


def random_cron(zone: str) -> str:
    """An expression that croniter takes."""
    while True:
        text = expressions.any(nights.night(zone), zone)
        if accepted(text):
            return text


def accepted(text: str) -> bool:
    """Whether the class takes it; its describer, which is no part of scheduling, may fail on what croniter reads."""
    try:
        CronTriggerTimetable(text, timezone="UTC").validate()
    except Exception:
        return False
    return True


def preset(text: str) -> str:
    return CronTriggerTimetable(text, timezone="UTC")._expression


def cron_trigger(zone: str) -> tuple[Timetable, dict[str, Any]]:
    cron, span, (immediately, shown) = random_cron(zone), random_interval(), random_immediately()
    timetable = CronTriggerTimetable(cron, timezone=zone, interval=span, run_immediately=immediately)
    return timetable, {"type": "cron_trigger", "cron": preset(cron), "timezone": zone, **spans(span, shown)}


def multiple(zone: str) -> tuple[Timetable, dict[str, Any]]:
    crons = [random_cron(zone) for _ in range(draw.randint(1, 4))]
    span, (immediately, shown) = random_interval(), random_immediately()
    timetable = MultipleCronTriggerTimetable(*crons, timezone=zone, interval=span, run_immediately=immediately)
    crons = [preset(cron) for cron in crons]
    return timetable, {"type": "multiple_cron_trigger", "crons": crons, "timezone": zone, **spans(span, shown)}


def spans(span: Delta, immediately: Any) -> dict[str, Any]:
    return form(interval=delta_form(span), run_immediately=None if immediately == "Auto" else immediately)


def cron_interval(zone: str) -> tuple[Timetable, dict[str, Any]]:
    cron = random_cron(zone)
    timetable = CronDataIntervalTimetable(cron, zone)
    return timetable, {"type": "cron_data_interval", "cron": preset(cron), "timezone": zone}


def delta_trigger(_: str) -> tuple[Timetable, dict[str, Any]]:
    delta, span = random_delta(), random_interval()
    timetable = DeltaTriggerTimetable(delta, interval=span)
    return timetable, {"type": "delta_trigger", "delta": delta_form(delta), **form(interval=delta_form(span))}


def delta_interval(_: str) -> tuple[Timetable, dict[str, Any]]:
    delta = random_delta()
    return DeltaDataIntervalTimetable(delta), {"type": "delta_data_interval", "delta": delta_form(delta)}


def partition(zone: str) -> tuple[Timetable, dict[str, Any]]:
    cron, offset, (immediately, shown) = random_cron(zone), draw.randint(-3, 3), random_immediately()
    key = draw.choice(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y%m%d%H", "week %G-%V, day %j", "%d.%m.%y %I %p 100%%"])
    timetable = CronPartitionTimetable(
        cron, timezone=zone, run_offset=offset, run_immediately=immediately, key_format=key
    )
    shape = {"type": "cron_partition", "cron": preset(cron), "timezone": zone, "key_format": key}
    return timetable, shape | form(run_offset=offset, run_immediately=None if shown == "Auto" else shown)


def events(zone: str) -> tuple[Timetable, dict[str, Any]]:
    dates = [instant(nights.instant(zone)) for _ in range(draw.choice([0, 1, 2, 5, 12]))]
    restricted = draw.random() < 0.5
    timetable = EventsTimetable(dates, restrict_to_events=restricted)
    shown = [date.isoformat() for date in timetable.event_dates]
    return timetable, {"type": "events", "dates": shown, **form(restrict_to_events=restricted)}


def simple(_: str) -> tuple[Timetable, dict[str, Any]]:
    kind = draw.choice([OnceTimetable, ContinuousTimetable, NullTimetable])
    names = {OnceTimetable: "once", ContinuousTimetable: "continuous", NullTimetable: "none"}
    return kind(), {"type": names[kind]}


KINDS = [
    (cron_trigger, 30), (cron_interval, 28), (multiple, 8), (delta_trigger, 10), (delta_interval, 14), (partition, 5),
    (events, 3), (simple, 2),
]


def scenario(timetable: Timetable, zone: str) -> list[Any]:
    """Bounds near each other, the last run and the clock, and the chain of runs from there."""
    base = nights.instant(zone)
    near = lambda: base + timedelta(minutes=draw.randint(-60 * 24 * 6, 60 * 24 * 6) // draw.choice([1, 6, 40]))  # noqa: E731
    dates = getattr(timetable, "event_dates", None)
    now = draw.choice([base, base, near()])
    earliest = draw.choice([None, None, near(), base, now - timedelta(days=draw.randint(1, 400))])
    if draw.random() < 0.03:
        earliest = now + timedelta(days=draw.randint(1, 100))
    latest = now + timedelta(hours=draw.randint(-24, 400)) if draw.random() < 0.1 else None
    last = None
    if draw.random() < 0.5:
        end = draw.choice(dates) if dates else near()
        start = end - draw.choice([timedelta(), timedelta(minutes=draw.randint(1, 3000))])
        last = DataInterval(instant(start), instant(end))
    catchup = draw.random() < 0.6
    earliest, latest = (None if at is None else instant(at) for at in (earliest, latest))
    restriction = TimeRestriction(earliest, latest, catchup)
    links = chain(timetable, restriction, last, now)
    shown = None if last is None else [seconds(last.start), seconds(last.end)]
    return [int(catchup), seconds(earliest), seconds(latest), shown, seconds(now), links]


def chain(timetable: Timetable, restriction: TimeRestriction, last: DataInterval | None, now: datetime) -> list[Any]:
    links: list[Any] = []
    partitioned = isinstance(timetable, CronPartitionTimetable)
    before = None if last is None or not partitioned else SimpleNamespace(run_after=last.end)
    clock.at = now
    for _ in range(CHAIN):
        try:
            if partitioned:
                info = timetable.next_dagrun_info_v2(last_dagrun_info=before, restriction=restriction)
            else:
                info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        except Exception as problem:
            return [*links, f"!{type(problem).__name__}"]
        if info is None:
            return [*links, None]
        if partitioned:
            links.append([seconds(info.run_after), info.partition_key])
            before = info
        else:
            last = info.data_interval
            assert info.run_after == last.end and info.logical_date == last.start
            start, end = seconds(last.start), seconds(last.end)
            links.append(end if start == end else [start, end])
        clock.at = max(clock.at, info.run_after)
    return links


def manual(timetable: Timetable, zone: str) -> list[Any] | None:
    at = instant(nights.instant(zone))
    try:
        found = timetable.infer_manual_data_interval(run_after=at)
    except CroniterError:
        return None
    return [seconds(at), seconds(found.start), seconds(found.end)]


def numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


def line(timetable: Timetable, shape: dict[str, Any], zone: str) -> tuple[str | None, int]:
    runs = [scenario(timetable, zone) for _ in range(RUNS)]
    if zone in CHANGED and max(numbers(runs)) > datetime(CHANGED[zone], 1, 1, tzinfo=UTC).timestamp():
        return None, 0
    by_hand = [found for _ in range(MANUAL) if (found := manual(timetable, zone)) is not None]
    text = json.dumps({"t": shape, "runs": runs, "manual": by_hand}, separators=(",", ":"))
    return text, len(runs) + len(by_hand)


def write_timetables() -> int:
    kinds, weights = zip(*KINDS, strict=True)
    lines, count = [], 0
    while len(lines) < TIMETABLES:
        zone = nights.zone()
        timetable, shape = draw.choices(kinds, weights)[0](zone)
        text, cases = line(timetable, shape, zone)
        if text is None:
            continue
        lines.append(text)
        count += cases
    (HERE / "timetables.jsonl").write_text(header() + "\n".join(lines) + "\n")
    return count


def serialized(timetable: Timetable, zone: str) -> str | None:
    """The timetable as a serialized DAG holds it, with a chain of the class that was read back from that."""
    encoded = json.loads(json.dumps(encode_timetable(timetable)))
    run = scenario(decode_timetable(encoded), zone)
    if any(isinstance(link, str) for link in run[5]):
        return None
    return json.dumps({"serialized": encoded, "run": run}, separators=(",", ":"))


def write_serialized() -> int:
    kinds = [cron_trigger, cron_interval, multiple, delta_trigger, delta_interval, events]
    zones = [*(nights.zone() for _ in range(20)), "fixed"]
    lines = []
    while len(lines) < 400:
        zone = draw.choice(zones)
        fixed = pendulum.timezone(60 * draw.choice([0, 60, -210, 330, 345, 600, 825])) if zone == "fixed" else None
        timetable, _ = draw.choice(kinds)("UTC" if fixed else zone)
        for one in getattr(timetable, "_timetables", [timetable]) if fixed else []:
            one._timezone = fixed
        text = serialized(timetable, "Asia/Kolkata" if fixed else zone)
        if text is not None and zone not in CHANGED:
            lines.append(text)
    (HERE / "serialized.jsonl").write_text(header() + "\n".join(lines) + "\n")
    return len(lines)


def write_crons() -> int:
    """crons.jsonl: `[expression, accepted by croniter, [next from some instant three times, previous]]`."""
    texts = [*BORDERS, *(expressions.weird() for _ in range(1500)), *(expressions.broken() for _ in range(1200))]
    lines = [json.dumps(cron_line(text), separators=(",", ":"), ensure_ascii=False) for text in dict.fromkeys(texts)]
    (HERE / "crons.jsonl").write_text(header() + "\n".join(lines) + "\n")
    return len(lines)


def cron_line(text: str) -> list[Any]:
    at = datetime(draw.randint(1995, 2040), 1, 1) + timedelta(seconds=draw.randint(0, 31_535_999))
    begin = int(at.replace(tzinfo=UTC).timestamp())
    try:
        croniter(text, at)
    except CroniterError:
        return [text, None]
    found: list[int | None] = [begin]
    for step in ("get_next", "get_next", "get_next", "get_prev"):
        try:
            cron = croniter(text, at if step == "get_prev" else datetime.fromtimestamp(found[-1], UTC).replace(tzinfo=None))
            found.append(int(getattr(cron, step)(datetime).replace(tzinfo=UTC).timestamp()))
        except CroniterError:
            found += [None] * (4 - len(found)) if step == "get_next" else [None]
            if step == "get_next":
                found.append(previous(text, at))
                break
    return [text, found]


def previous(text: str, at: datetime) -> int | None:
    try:
        return int(croniter(text, at).get_prev(datetime).replace(tzinfo=UTC).timestamp())
    except CroniterError:
        return None


def header() -> str:
    packages = ("apache-airflow-core", "croniter", "pendulum", "tzdata")
    made = {name: version(name) for name in packages} | {"python": sys.version.split()[0], "seed": SEED}
    return json.dumps(made) + "\n"


if __name__ == "__main__":
    print(write_timetables(), "cases of timetables")
    print(write_crons(), "cron expressions")
    print(write_serialized(), "serialized timetables")
