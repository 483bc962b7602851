"""What triggers print and log, told apart by trigger."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

from tradewind_guest import log_sink
from tradewind_guest.trigger_comms import CURRENT

#: The field of a log line that says whose it is.
OWNER = "trigger_id"


def write_line(trigger: int | None, level: str, logger: str, text: str, **fields: Any) -> None:
    """Write a line of our own to a trigger's log."""
    line = {
        "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "level": level,
        "logger": logger,
        "event": text,
        **fields,
    }
    if trigger is not None:
        line[OWNER] = trigger
    log_sink.SINK.write(json.dumps(line, default=str).encode() + b"\n")


class Printed(io.TextIOBase):
    """Standard output or error output: each line goes to the log of the trigger that prints it."""

    def __init__(self, logger: str, level: str, rest: Any) -> None:
        self._logger = logger
        self._level = level
        self._rest = rest  # Where text goes that no trigger prints.
        self._begun: dict[int, str] = {}

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._rest.fileno()

    def write(self, text: str) -> int:
        trigger = CURRENT.get()
        if trigger is None:
            return self._rest.write(text)
        *lines, rest = (self._begun.pop(trigger, "") + text).split("\n")
        for line in lines:
            write_line(trigger, self._level, self._logger, line)
        if rest:
            self._begun[trigger] = rest
        return len(text)

    def flush(self) -> None:
        self._rest.flush()

    def finish(self, trigger: int) -> None:
        """Write what a trigger has printed without a line end."""
        if rest := self._begun.pop(trigger, ""):
            write_line(trigger, self._level, self._logger, rest)
