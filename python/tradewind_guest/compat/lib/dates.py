"""``airflow.utils.dates``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pendulum
from airflow.sdk import timezone


def days_ago(n: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """Return the day ``n`` days ago in UTC, at midnight unless told otherwise."""
    day = pendulum.today("UTC").subtract(days=n)
    return day.replace(hour=hour, minute=minute, second=second, microsecond=microsecond)


def parse_execution_date(execution_date_str: str) -> datetime:
    """Read a date as the command line of Airflow does."""
    return timezone.parse(execution_date_str)


def date_range(
    start_date: datetime, end_date: datetime | None = None, num: int | None = None, delta: Any = None
) -> list[datetime]:
    """List instants from ``start_date``, ``delta`` (a timedelta, relativedelta or cron text) apart."""
    if not delta:
        return []
    if end_date is not None and num:
        raise ValueError("date_range: give end_date or num, not both")
    if end_date is not None and start_date > end_date:
        raise ValueError("date_range: start_date is after end_date")
    if end_date is None and not num:
        end_date = timezone.utcnow()
    count = abs(num) if num else None
    step = _steps(start_date, delta, backwards=bool(num and num < 0))
    found = []
    for moment in step:
        if (count is not None and len(found) == count) or (count is None and end_date is not None and moment > _like(end_date, moment)):
            break
        found.append(moment)
    zone = start_date.tzinfo
    return sorted(moment if moment.tzinfo else timezone.make_aware(moment, zone) for moment in found)


def _steps(start: datetime, delta: Any, backwards: bool) -> Any:
    if isinstance(delta, str):
        from airflow.utils.dates import cron_presets
        from croniter import croniter

        cron = croniter(cron_presets.get(delta, delta), start)
        yield start
        while True:
            yield cron.get_prev(datetime) if backwards else cron.get_next(datetime)
    if not hasattr(delta, "__abs__"):
        raise TypeError("date_range: delta must be a timedelta, a relativedelta or a cron text")
    moment = start
    while True:
        yield moment
        moment = moment - abs(delta) if backwards else moment + abs(delta)


def _like(moment: datetime, other: datetime) -> datetime:
    if other.tzinfo is None and moment.tzinfo is not None:
        return timezone.make_naive(moment, timezone.utc)
    if other.tzinfo is not None and moment.tzinfo is None:
        return timezone.make_aware(moment, other.tzinfo)
    return moment


def round_time(dt: datetime, delta: Any, start_date: datetime | None = None) -> datetime:
    """Return the ``start_date + i * delta`` that is nearest to ``dt``; of a cron text, the one before ``start_date``."""
    if isinstance(delta, str):
        from croniter import croniter

        return croniter(delta, start_date or dt).get_prev(datetime)
    start = start_date or datetime.min.replace(tzinfo=dt.tzinfo)
    dt = dt.replace(microsecond=0)
    if start >= dt:
        return start
    low, high = 0, 1
    while start + delta * high < dt:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if start + delta * middle < dt else (low, middle)
    below, above = start + delta * low, start + delta * high
    return above if above - dt <= dt - below else below


_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def infer_time_unit(time_seconds_arr: Collection[float]) -> str:
    """Name the unit that suits the longest of some durations."""
    longest = max(time_seconds_arr, default=None)
    if longest is None:
        return "hours"
    for unit, next_one in (("seconds", "minutes"), ("minutes", "hours"), ("hours", "days")):
        if longest <= 2 * _UNITS[next_one]:
            return unit
    return "days"


def scale_time_units(time_seconds_arr: Collection[float], unit: str) -> list[float]:
    """Express durations in a unit."""
    return [seconds / _UNITS.get(unit, 1) for seconds in time_seconds_arr]


def utc_epoch() -> datetime:
    """Return the first instant of 1970."""
    return datetime.fromtimestamp(0, timezone.utc)
