"""Time zones of the vectors, and the nights on which their clocks change."""

from __future__ import annotations

import random
import zoneinfo
from datetime import UTC, datetime, timedelta

# Half hours and quarters, both hemispheres, changes at midnight, negative summer time, days that were skipped.
ODD = """
America/New_York America/Los_Angeles America/Chicago America/St_Johns America/Halifax America/Sao_Paulo America/Havana
America/Santiago America/Asuncion America/Caracas America/Nuuk America/Anchorage America/Mexico_City America/Bogota
Europe/London Europe/Paris Europe/Berlin Europe/Dublin Europe/Lisbon Europe/Istanbul Europe/Moscow Europe/Volgograd
Europe/Chisinau Europe/Kyiv Africa/Cairo Africa/Casablanca Africa/El_Aaiun Africa/Lagos Africa/Johannesburg
Africa/Juba Africa/Monrovia Asia/Kolkata Asia/Kathmandu Asia/Tehran Asia/Kabul Asia/Yangon Asia/Tokyo Asia/Shanghai
Asia/Gaza Asia/Beirut Asia/Amman Asia/Jerusalem Asia/Pyongyang Asia/Dhaka Asia/Colombo Asia/Manila Asia/Riyadh
Australia/Lord_Howe Australia/Sydney Australia/Adelaide Australia/Eucla Australia/Brisbane Pacific/Apia
Pacific/Auckland Pacific/Chatham Pacific/Kwajalein Pacific/Tongatapu Pacific/Easter Pacific/Norfolk Pacific/Marquesas
Pacific/Kiritimati Pacific/Fakaofo Pacific/Bougainville Atlantic/Azores Atlantic/Cape_Verde Antarctica/Troll
Antarctica/Casey Antarctica/Macquarie Indian/Mauritius Etc/GMT+12 Etc/GMT-14 UTC
""".split()

# Their rules changed after the zone database that the engine bundles was made: only instants before this year.
CHANGED = {"America/Havana": 2026}

_HOUR = timedelta(hours=1)


def transitions(zone: str, first: int, last: int) -> list[datetime]:
    """The instants between two years at which the zone's offset changes, found by bisection."""
    info = zoneinfo.ZoneInfo(zone)
    offset = lambda at: at.astimezone(info).utcoffset()  # noqa: E731
    found: list[datetime] = []
    at = datetime(first, 1, 1, tzinfo=UTC)
    end = datetime(last, 1, 1, tzinfo=UTC)
    step = timedelta(days=9)
    while at < end:
        after = at + step
        if offset(at) != offset(after):
            low, high = at, after
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                if offset(low) == offset(middle):
                    low = middle
                else:
                    high = middle
            found.append(high)
        at = after
    return found


class Nights:
    """Draws zones and changes of their clocks."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.known: dict[str, list[datetime]] = {}

    def zone(self) -> str:
        return self.draw.choice(ODD)

    def night(self, zone: str) -> datetime | None:
        """A change of the clocks, mostly of these decades."""
        if zone not in self.known:
            self.known[zone] = transitions(zone, 1975, CHANGED.get(zone, 2038) - 1)
        changes = self.known[zone]
        if not changes:
            return None
        recent = [change for change in changes if change.year >= 2005]
        return self.draw.choice(recent if recent and self.draw.random() < 0.7 else changes)

    def instant(self, zone: str) -> datetime:
        """Around a change of the clocks, or anywhere; mostly whole minutes."""
        draw = self.draw
        night = self.night(zone) if draw.random() < 0.65 else None
        if night is not None:
            at = night + timedelta(minutes=draw.randint(-30 * 60, 30 * 60))
            if draw.random() < 0.3:
                at = night + draw.choice([-1, 0, 0, 1, 2]) * _HOUR
        else:
            at = datetime(draw.randint(1990, CHANGED.get(zone, 2042) - 2), 1, 1, tzinfo=UTC) + timedelta(minutes=draw.randint(0, 525_600))
        kind = draw.random()
        if kind < 0.15:
            at += timedelta(seconds=draw.randint(1, 59))
        elif kind < 0.25:
            at += timedelta(seconds=draw.randint(0, 59), microseconds=draw.randint(1, 999_999))
        elif kind < 0.5:
            at = at.replace(minute=0)
        return at
