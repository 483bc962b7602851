"""Standard output and error of a child."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


def redirect(stdout: int, stderr: int) -> None:
    """Make two descriptors fd 1 and fd 2."""
    for source, target in ((stdout, 1), (stderr, 2)):
        os.dup2(source, target)
        os.close(source)


def renew() -> None:
    """Put new streams around fd 1 and fd 2."""
    for name, target in (("stdout", 1), ("stderr", 2)):
        # Whatever the locale says, printing any text must work.
        stream = io.TextIOWrapper(
            os.fdopen(target, "wb", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def flush() -> None:
    """Empty the buffers of the streams, if they still are any."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


@contextlib.contextmanager
def kept(said: list[tuple[int, bytes]]) -> Iterator[None]:
    """Put what is written to fd 1 and fd 2 into ``said`` instead, processes that are started included."""
    flush()
    usual = {fd: os.dup(fd) for fd in (1, 2)}
    files = {fd: os.memfd_create("said") for fd in (1, 2)}
    for fd, file in files.items():
        os.dup2(file, fd)
    try:
        yield
    finally:
        flush()
        for fd, file in files.items():
            os.dup2(usual[fd], fd)
            os.close(usual[fd])
            if text := os.pread(file, os.fstat(file).st_size, 0):
                said.append((fd, text))
            os.close(file)
