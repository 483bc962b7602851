"""Watches what a DAG file does at its top level. For a process that loads it once and ends: nothing is undone."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tradewind_guest import environment

#: Audit events that no task may miss, and what they are to the reader of a refusal.
_EVENTS = {
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "pty.spawn"),
        "starts processes",
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "sqlite3.connect"),
        "talks to others",
    ),
    **dict.fromkeys(
        (
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.truncate",
            "os.chmod",
            "os.chown",
            "os.utime",
            "tempfile.mkstemp",
            "tempfile.mkdtemp",
        ),
        "changes files",
    ),
    "os.chdir": "changes the working directory",
    "os.kill": "sends signals",
    "mmap.__new__": "maps memory that processes share",
    "resource.setrlimit": "changes limits of its process",
    "sys.addaudithook": "installs an audit hook",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: What differs between the tasks of one file.
_OWN = ("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "_AIRFLOW_PARSING_CONTEXT_TASK_ID", environment.CHILD_MARKER)


class Observer:
    """Notes the first thing that is a reason to load the file anew for each task."""

    def __init__(self, prelude: dict[str, Any]) -> None:
        self._root = prelude["bundle_dir"].rstrip("/") + "/"
        self._own = {name.encode() for name in (*_OWN, *prelude["own_env"])}
        self._bytecode = prelude["bytecode_dir"] or "/__pycache__"
        self._why: str | None = None
        self._is_watching = False

    def why_not_shared(self) -> str | None:
        return self._why and f"it {self._why} while it is loaded"

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as the context lasts."""
        sys.addaudithook(self._audit)
        os.getcwd = self._noting(os.getcwd, "asks for the working directory", lambda: True)  # type: ignore[assignment]
        os.getpid = self._noting(os.getpid, "asks for its process id", self._is_called_by_user)
        os.urandom = self._noting(os.urandom, "uses random numbers", self._is_for_user)
        random._urandom = os.urandom  # type: ignore[attr-defined]
        os.environ._data = _Environment(os.environ._data, self)  # type: ignore[attr-defined]
        self._is_watching = True
        try:
            yield
        finally:
            self._is_watching = False

    def note(self, what: str) -> None:
        if self._is_watching and self._why is None:
            self._why = what

    def read_variable(self, name: Any) -> None:
        if name in self._own:
            self.note(f"looks at {name.decode()}")

    def read_environment(self) -> None:
        if self._is_watching and self._is_for_user(only_nearest=True):
            self.note("takes a copy of the environment")

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._is_watching:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & _WRITES:
                self._written(os.fsdecode(path))
        elif (what := _EVENTS.get(event)) is not None:
            if what != "changes files" or not self._is_bytecode(args[0]):
                self.note(what)

    def _written(self, path: str) -> None:
        if not self._is_bytecode(path) and path != os.devnull:
            self.note(f"writes to {path}")

    def _is_bytecode(self, path: Any) -> bool:
        """Whether Python writes there by itself, or makes a folder on the way there."""
        if not isinstance(path, (str, bytes)):
            return False
        name = os.fsdecode(path)
        return "__pycache__" in name or (self._bytecode + "/").startswith(name.rstrip("/") + "/")

    def _noting(self, function: Callable[..., Any], what: str, matters: Callable[[], bool]) -> Callable[..., Any]:
        def noting(*args: Any, **kwargs: Any) -> Any:
            if self._is_watching and matters():
                self.note(what)
            return function(*args, **kwargs)

        return noting

    def _is_called_by_user(self) -> bool:
        return sys._getframe(2).f_code.co_filename.startswith(self._root)

    def _is_for_user(self, only_nearest: bool = False) -> bool:
        """Whether a file of the bundle wants it, rather than a package that is being imported."""
        frame = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self._root):
                return True
            if name.startswith("<frozen importlib") or (only_nearest and "site-packages" in name):
                return False
            frame = frame.f_back  # type: ignore[assignment]
        return False


class _Environment(dict[bytes, bytes]):
    """The table behind ``os.environ``, with an eye on who reads what."""

    def __init__(self, table: dict[bytes, bytes], observer: Observer) -> None:
        super().__init__(table)
        self._observer = observer

    def __getitem__(self, name: bytes) -> bytes:
        self._observer.read_variable(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[bytes]:
        self._observer.read_environment()
        return super().__iter__()
