"""Makes outcomes comparable: what holds wall-clock time, random text or an address becomes a fixed word."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

#: DAGs use fixed dates before this one. What lies between it and FAR was read from a clock.
RECENT = datetime(2026, 9, 1, tzinfo=timezone.utc)
FAR = datetime(2090, 1, 1, tzinfo=timezone.utc)

ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
COMPACT = re.compile(r"\d{8}T\d{6}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+")
MODULE = re.compile(r"unusual_prefix_[0-9a-f]{40}_")
OBJECT = re.compile(r" at 0x[0-9a-f]{6,}")
RANDOM_SUFFIX = re.compile(r"<now>_[A-Za-z0-9]{8}\b")


def instant(value: datetime | None) -> str | None:
    """An instant as all outcomes write it."""
    return None if value is None else value.astimezone(timezone.utc).isoformat()


def _moment(found: re.Match[str]) -> str:
    text = found.group(0)
    try:
        when = datetime.fromisoformat(text.replace(" ", "T").replace("Z", "+00:00"))
    except ValueError:
        return text
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return "<now>" if RECENT <= when < FAR else text


def _compact(found: re.Match[str]) -> str:
    text = found.group(0)
    return "<now>" if RECENT.strftime("%Y%m%dT%H%M%S") <= text < FAR.strftime("%Y%m%dT%H%M%S") else text


def text(value: str, paths: dict[str, str]) -> str:
    for path, word in paths.items():
        value = value.replace(path, word)
    value = ISO.sub(_moment, value)
    value = COMPACT.sub(_compact, value)
    value = UUID.sub("<uuid>", value)
    value = ADDRESS.sub("", value)
    value = MODULE.sub("unusual_prefix_<hash>_", value)
    value = OBJECT.sub(" at <memory>", value)
    return RANDOM_SUFFIX.sub("<now>_<random>", value)


def normalize(value: Any, paths: dict[str, str] | None = None) -> Any:
    """The value with every text in it (keys too) made comparable. `paths` names folders of this machine."""
    paths = paths or {}
    if isinstance(value, str):
        return text(value, paths)
    if isinstance(value, float):
        # Seconds since 1970 that somebody read from a clock.
        return "<now>" if RECENT.timestamp() <= value < FAR.timestamp() else value
    if isinstance(value, list):
        return [normalize(item, paths) for item in value]
    if isinstance(value, dict):
        return {text(str(key), paths): normalize(item, paths) for key, item in value.items()}
    return value
