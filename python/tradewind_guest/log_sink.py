"""Where log lines go: decided in each child, while logging itself is set up once, before the fork.

Setting up logging walks over all loggers of the process, which takes longer than many a task.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


class Sink:
    """A binary stream whose file descriptor comes later. Until then it drops what is written to it.

    That is also the lot of what Airflow logs while it parses a file: the result tells all of it.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._kept: list[bytes] | None = None

    @contextlib.contextmanager
    def kept(self, lines: list[bytes]) -> Iterator[None]:
        """Put what is written into ``lines`` for a while."""
        self._kept = lines
        try:
            yield
        finally:
            self._kept = None

    def open(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> int:
        if self._fd is not None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        elif self._kept is not None:
            self._kept.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


#: The one that all loggers of this process write to.
SINK = Sink()


def configure() -> None:
    """Set up logging as the SDK does it in a task."""
    from airflow.sdk.log import configure_logging

    configure_logging(json_output=True, output=SINK, sending_to_supervisor=True)  # type: ignore[arg-type]
