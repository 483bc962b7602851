"""Where old names are used: one entry per place, for the import report."""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_HERE = os.path.dirname(__file__) + os.sep

#: Called with (frame or None, old, new, note) at each use; None: nobody wants to know.
_listener: Callable[[FrameType | None, str, str, str | None], None] | None = None


def use(old: str, new: str, note: str | None = None, *, argument: bool = False) -> None:
    """Note that the code that called us used ``old``, which is written ``new`` today.

    A name counts for the file whose own line has it; an argument also when it was handed on by code between us and
    that file (a base class of a package, say).
    """
    if _listener is None:
        return
    _listener(_caller(argument), old, new, note)


def listening() -> bool:
    """Say whether uses are being collected."""
    return _listener is not None


def caller() -> FrameType | None:
    """Return the code of the DAG file, or of a module of its folder, that led here."""
    return _caller(True)


def _caller(through_packages: bool) -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = name.startswith((_HERE, "<")) or "importlib" in name
        if not ours and not (through_packages and f"{os.sep}site-packages{os.sep}" in name):
            return frame
        frame = frame.f_back
    return None


class Collector:
    """Keeps the uses in files below one folder, each once."""

    def __init__(self, root: Path) -> None:
        self._prefix = f"{root}{os.sep}"
        self._found: dict[tuple[str, int | None, str], dict[str, Any]] = {}

    def note(self, frame: FrameType | None, old: str, new: str, note: str | None) -> None:
        """Take a use seen at run time."""
        if frame is not None and frame.f_code.co_filename.startswith(self._prefix):
            self.add(frame.f_code.co_filename, line_of(frame, old), old, new, note)

    def add(self, file: str, line: int | None, old: str, new: str, note: str | None) -> None:
        """Take a use at a known place."""
        if not file.startswith(self._prefix):
            return
        relative = file[len(self._prefix) :]
        entry = {"file": relative, "line": line, "old": old, "new": new, "note": note}
        self._found.setdefault((relative, line, old), entry)

    def entries(self, first: Path) -> list[dict[str, Any]]:
        """Return what was found: the file ``first``, then the others, each by line."""
        main = str(first)[len(self._prefix) :]
        return sorted(
            self._found.values(), key=lambda use: (use["file"] != main, use["file"], use["line"] or 0)
        )


@contextmanager
def collecting(root: Path) -> Iterator[Collector]:
    """Collect the uses in files below ``root`` until the block ends."""
    global _listener
    collector = Collector(root)
    before, _listener = _listener, collector.note
    try:
        yield collector
    finally:
        _listener = before


def listen(listener: Callable[[FrameType | None, str, str, str | None], None] | None) -> None:
    """Send all uses to ``listener``."""
    global _listener
    _listener = listener


def line_of(frame: FrameType, old: str) -> int:
    """Find the line of an argument within a call of many lines; otherwise the line that is being run."""
    line = frame.f_lineno
    last = _last_line(frame)
    name = re.search(r"(\w+)=?\W*$", old)
    if last is None or last <= line or name is None:
        return line
    pattern = re.compile(rf"\b{name[1]}\b")
    for number in range(line, last + 1):
        if pattern.search(linecache.getline(frame.f_code.co_filename, number)):
            return number
    return line


def _last_line(frame: FrameType) -> int | None:
    if sys.version_info < (3, 11):
        return None
    for index, (_, end, _, _) in enumerate(frame.f_code.co_positions()):
        if index == frame.f_lasti // 2:
            return end
    return None
