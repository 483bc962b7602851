"""Random cron expressions: plain ones, ones that fall into a change of the clocks, and all that croniter's syntax allows."""

from __future__ import annotations

import random
from datetime import datetime
from zoneinfo import ZoneInfo

PRESETS = ["@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@midnight", "@annually"]
PLAIN = [
    "* * * * *", "*/5 * * * *", "*/15 * * * *", "0 * * * *", "30 * * * *", "0 */2 * * *", "0 */6 * * *", "15 */4 * * *",
    "0 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *", "0 0 * * 0", "0 6 * * 1-5", "0 9-17 * * MON-FRI", "0 0 1 * *",
    "0 0 L * *", "0 0 1 1 *", "0 0 29 2 *", "0 12 15,L * *", "0 0 31 * *", "0 0 30 * 2", "5 4 * * sun", "0 22 * * 1-5",
    "23 0-20/2 * * *", "0 0,12 1 */2 *", "0 4 8-14 * *", "0 0 13 * 5", "*/30 1-2 * * *", "0 1,2,3 * * *", "45 23 * * 6",
    "0 0 * * 1#1", "0 8 * * L5", "30 9 * * fri#3", "0 0 1-7 * */7", "0 * 1 1 *", "10 * * * 1-5", "0 0-23 * * *",
    "0 *,5 * * *", "0 12 15W * *", "0 6 1W */3 *",
]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (0, 59), (1970, 2099)]
DAY, MONTH, WEEKDAY = 2, 3, 4

# Right and wrong, at the borders of the syntax.
BORDERS = [
    "5-5 * * * *", "59/15 * * * *", "0 23/5 * * *", "0 0 31/2 * *", "0 0 5-0 * *", "0 0 0-5 * *", "0 0 0 * *",
    "0 0 * 0-3 *", "0 0 * 5-0 *", "0 0 * dec/3 *", "0 0 * jan-jan *", "0 0 * * sun-sun", "0 0 * * 7-2", "0 0 * * 5-7",
    "0 0 * * 0-7", "0 0 * * 7/2", "0 0 * * 6/1", "0 0 * * 8", "0 0 * * l", "0 0 * * l5", "0 0 * * L7", "0 0 * * L8",
    "0 0 * * lfri", "0 0 * * 5L", "0 0 * * 5#0", "0 0 * * 5#6", "0 0 * * 1-5#2", "0 0 * * mon-fri#2", "0 0 * * sat-sun#1",
    "0 0 * * fri-fri#2", "0 0 * * 7#2", "0 0 * * 1,5#2", "0 0 * * 5,5#2", "0 0 * * *,5#2", "0 0 13 * *,5#2",
    "0 0 13 * 5#2", "0 0 * * *#2", "0 0 * * jan#2", "0 0 * * ?", "0 0 ? * *", "0 0 ? * 5", "? * * * *", "0 0 ?,1 * *",
    "0 0 1-31 * ?", "0 0 1-31 * */2", "0 0 1-31 * 1", "0 0 1-30,L * *", "0 0 1-30,L * 1", "0 0 10-l * *", "0 0 l-5 * *",
    "0 0 l/5 * *", "0 0 l * *", "0 0 15w * *", "0 0 w15 * *", "0 0 31w * *", "0 0 1,15w * *", "0 0 32w * *", "0 0 0w * *",
    "0 0 15w * 1", "0 0 29 2 1#5", "0 0 31 2 5#1", "0 0 31 2 5", "0 0 31 4 *", "0 0 30 2 *", "0 0 29 2 *", "0 0 31w 2 *",
    "*,5 *,6 *,7 *,8 *,1", "*/5/5 * * * *", "-5 * * * *", "5- * * * *", "*-5 * * * *", "1-2-3 * * * *", "1,,2 * * * *",
    ", * * * *", "+5 * * * *", "007 08 * * *", "60 * * * *", "0 24 * * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * foo *",
    "0 0 * * foo", "*/0 * * * *", "*/99 * * * *", "*/61 * * * *", "1/0 * * * *", "0/60 * * * *", "50-10/7 * * * *",
    "0 22-2/3 * * *", "0 0 * nov-feb/2 *", "0 0 * * fri-mon/2", "0 0 28-3/2 * *", "h * * * *", "h/15 * * * *",
    "h(0-9) * * * *", "0 0 * * * 30", "* * * * * */20", "0 0 * * * 60", "0 0 1 1 * 0 2030", "0 0 1 1 * 0 2030-2032",
    "0 0 1 1 * 0 */7", "0 0 1 1 * 0 1969", "0 0 1 1 * 0 2100", "0 0 1 1 * 0 1975", "0 0 29 2 * 0 2027",
    "0 0 29 2 * 0 2096-2099", "* * * *", "", "@never", "@reboot", "1 2 3 4 5 6 2030 8", "a b c d e", "0 0 1 JAN MON",
    "0 0 1 Jan Mon", "mon * * * *", "0 0 mon * *", "0 0 * mon *", "0 0 * * jan", "1.5 * * * *", "1e1 * * * *",
    "0x5 * * * *", "*5 * * * *", "5* * * * *", "** * * * *", "*/ * * * *", "/5 * * * *", "*/-5 * * * *", "*/a * * * *",
    "99999999999999999999 * * * *", "*/99999999999999999999 * * * *", "5/99999999999999999999 * * * *", "０ * * * *",
    "0\u00a00 * * *", "  0   0 * * *  ", "0\t0 * * *", "0 0 * * 1#1,1#3", "0 0 * * 1#1,2#2,l3", "0 0 1-7,15w * *",
    "0 0 * * l5,5", "0 0 * * l5,1", "0 0 * * 0-6,5#2", "0 0 1 * 0-6,5#2", "0 0 l,15 * 5", "0 0 28-31 2 *",
]


class Expressions:
    """Draws expressions."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    def any(self, night: datetime | None, zone: str) -> str:
        kind = self.draw.random()
        if kind < 0.05:
            return self.draw.choice(PRESETS)
        if kind < 0.25:
            return self.draw.choice(PLAIN)
        if kind < 0.65 and night is not None:
            return self.at_night(night, zone)
        return self.weird()

    def at_night(self, night: datetime, zone: str) -> str:
        """Ticks in or beside the hours that the clocks skip or repeat."""
        draw = self.draw
        hour = night.astimezone(ZoneInfo(zone)).hour
        hours = sorted({(hour + draw.randint(-2, 2)) % 24 for _ in range(draw.randint(1, 3))})
        field = draw.choice(
            [
                str(hours[0]), ",".join(map(str, hours)), f"{(hour - 1) % 24}-{hour}", f"{(hour - 2) % 24}-{(hour + 1) % 24}",
                "*/2", "*/3", "*", "*", "0-23", f"{hour}-{(hour + 12) % 24}/2",
            ]
        )
        minute = draw.choice(["0", "30", "15", "45", "*/30", "*/20", "*/15", "0,30", "*/10", "59", str(draw.randint(0, 59))])
        days = draw.choice(["* * *"] * 6 + ["* * 0", "* * 1-5", "* * 6", "L * *", "1 * *", "* */2 *", "* * 0#1", "* * L0"])
        second = draw.choice(["", "", "", "", "", " 30", " */20"])
        return f"{minute} {field} {days}{second}"

    def weird(self) -> str:
        count = self.draw.choices([5, 6, 7], [75, 20, 5])[0]
        fields = [self.field(position) for position in range(count)]
        if self.draw.random() < 0.15:
            fields[WEEKDAY] = self.nth()
        return " ".join(fields)

    def nth(self) -> str:
        draw = self.draw
        one = lambda: draw.choice(  # noqa: E731
            [f"{draw.randint(0, 7)}#{draw.randint(1, 5)}", f"L{draw.randint(0, 7)}", f"{draw.choice(DAYS)}#{draw.randint(1, 5)}"]
        )
        return ",".join(one() for _ in range(draw.choice([1, 1, 1, 2, 3])))

    def field(self, position: int) -> str:
        draw = self.draw
        open_field = {0: 0.15, 1: 0.35, DAY: 0.55, MONTH: 0.65, WEEKDAY: 0.55}.get(position, 0.4)
        if draw.random() < open_field:
            return "?" if position in (DAY, WEEKDAY) and draw.random() < 0.05 else "*"
        return ",".join(self.item(position) for _ in range(draw.choice([1, 1, 1, 2, 3])))

    def item(self, position: int) -> str:
        draw = self.draw
        low, high = BOUNDS[position]
        if position == 6:
            low, high = 2000, 2040
        value = lambda: self.value(position, draw.randint(low, high))  # noqa: E731
        kind = draw.random()
        if position == DAY and kind < 0.06:
            return draw.choice(["L", "L", f"{draw.randint(1, 31)}W", f"{draw.randint(1, 20)}-L"])
        if kind < 0.5:
            return value()
        if kind < 0.65:
            return f"*/{draw.randint(1, max(2, (high - low) // 2))}"
        if kind < 0.75:
            return f"{value()}/{draw.randint(1, max(2, (high - low) // 2))}"
        if kind < 0.9:
            return f"{value()}-{value()}"
        return f"{value()}-{value()}/{draw.randint(1, 6)}"

    def value(self, position: int, number: int) -> str:
        names = {MONTH: [""] + MONTHS, WEEKDAY: [*DAYS, "sun"]}.get(position)
        if names is None or self.draw.random() < 0.7:
            return str(number)
        return self.draw.choice([str.lower, str.upper, str.capitalize])(names[number])

    def broken(self) -> str:
        """An expression with one character changed: often wrong, sometimes right."""
        draw = self.draw
        text = list(self.weird() if draw.random() < 0.7 else draw.choice(PLAIN))
        for _ in range(draw.choice([1, 1, 2])):
            at = draw.randrange(len(text))
            text[at] = draw.choice("0123456789*/-,LW#?lx ")
        return "".join(text)
