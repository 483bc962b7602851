"""The warm process: imports the SDK once, then forks a child for each task, file to parse, or file to keep loaded.

Started by the supervisor with the control channel as fd 0. It must stay single-threaded (forks copy one thread only)
and must never run user code itself. It owns its children: it alone reaps them, so their pids stay valid until it has
killed what is left of their group, and its death is theirs (PDEATHSIG). A warm file process (`warm.py`) is one of its
children, and a zygote itself: of the tasks of one DAG file that it has loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tradewind_guest import child, environment, process
from tradewind_guest.wire import Control

if TYPE_CHECKING:
    from tradewind_guest.warm import Loaded

#: Least time between two looks for orphans of ended tasks; a look reads all of /proc.
_SWEEP_INTERVAL = 1.0
_SWEEP_DELAY = 0.05


class Zygote:
    """Serves the control channel until the supervisor closes it."""

    def __init__(self, control: Control, loaded: Loaded | None = None) -> None:
        self._control = control
        self._loaded = loaded
        self._running: dict[int, int] = {}  # pid -> id of the supervisor
        self._pids: dict[int, int] = {}  # and back
        self._pid = os.getpid()
        self._sweep_at: float | None = None
        self._swept_at = 0.0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Run until the supervisor says stop or goes away; then kill what still runs."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(self._patience_ms())}
                if self._wake_read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    self._reap()
                if self._control.fileno() in ready and not self._obey():
                    return
                self._sweep_when_due()
        finally:
            for pid in list(self._running):
                process.kill_tree(pid)

    def _obey(self) -> bool:
        received = self._control.receive()
        if received is None:
            return False
        order, fds = received
        match order["op"]:
            case "fork":
                self._fork(order["id"], order["kind"], fds)
            case "kill":
                self._kill(order["id"], order["signal"], order["tree"])
            case "stop":
                return False
            case other:
                raise ValueError(f"unknown order {other!r}")
        return True

    def _fork(self, job: int, kind: str, fds: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            for fd in fds:
                os.close(fd)
            self._control.send("fork_failed", id=job, error=str(error))
            return
        if pid == 0:
            self._become_child(job, kind, fds)
        for fd in fds:
            os.close(fd)
        self._running[pid] = job
        self._pids[job] = pid
        self._control.send("forked", id=job, pid=pid)

    def _become_child(self, job: int, kind: str, fds: list[int]) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        process.die_with_parent(self._pid)
        self._control.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        os.environ[environment.CHILD_MARKER] = str(job)
        child.run(kind, fds, self._loaded)

    def _kill(self, job: int, signum: int, tree: bool) -> None:
        pid = self._pids.get(job)
        if pid is None:
            return  # It ended meanwhile, and the supervisor has been told.
        if tree:
            process.kill_tree(pid)
        else:
            process.kill_group(pid, signum)

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self._running:
                # Before its pid is given back: nothing of a task may outlive it.
                process.kill_group(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            job = self._running.pop(pid, None)
            if job is None:
                continue  # An orphan that we adopted.
            del self._pids[job]
            self._control.send(
                "exited",
                id=job,
                pid=pid,
                code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                user=usage.ru_utime,
                system=usage.ru_stime,
                max_rss=usage.ru_maxrss * 1024,
            )
            self._sweep_at = max(time.monotonic() + _SWEEP_DELAY, self._swept_at + _SWEEP_INTERVAL)

    def _patience_ms(self) -> int | None:
        if self._sweep_at is None:
            return None
        return max(0, int((self._sweep_at - time.monotonic()) * 1000) + 1)

    def _sweep_when_due(self) -> None:
        """Kill orphans of ended tasks that left their group, such as what a killed bash operator had started."""
        if self._sweep_at is None or time.monotonic() < self._sweep_at:
            return
        self._sweep_at = None
        if not self._running and not _has_children():
            return
        self._swept_at = time.monotonic()
        for pid, parent in process.parents().items():
            if parent != self._pid or pid in self._running:
                continue
            owner = process.environment_value(pid, environment.CHILD_MARKER)
            if owner is not None and int(owner) in self._pids:
                continue
            if owner is None and self._running:
                continue  # It cleared its environment: nobody can say whose it is until all have ended.
            process.kill_tree(pid)
            # What it had started comes to us next.
            self._sweep_at = self._swept_at + _SWEEP_INTERVAL


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def serve_loaded(control: Control, loaded: Loaded) -> None:
    """Serve the control channel of a warm file process."""
    Zygote(control, loaded).serve()


def main() -> None:
    """Prepare the interpreter, report readiness, serve."""
    # A Ctrl-C in the terminal is for the supervisor, which ends us by closing the control channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control = Control(socket.socket(fileno=os.dup(0)))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    process.adopt_orphans()

    settings = json.loads(sys.argv[-1])
    sys.argv = ["tradewind"]  # User code that looks at it should not see our start-up code.
    home = Path(settings["home"])
    environment.isolate(home)
    from tradewind_guest import preload

    preload.preload(settings.get("preload", []))

    import airflow.sdk

    control.send("ready", pid=os.getpid(), python=sys.version.split()[0], sdk=airflow.sdk.__version__)
    Zygote(control).serve()

