"""What every forked child does before and after its job."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from tradewind_guest import streams, wire

if TYPE_CHECKING:
    from tradewind_guest.warm import Loaded


def run(kind: str, fds: list[int], loaded: Loaded | None) -> NoReturn:
    """Run one job in this freshly forked process and end it. Nothing returns into the zygote's loop.

    ``loaded`` is the DAG file of a warm file process.
    """
    code = 125
    try:
        code = _run(kind, fds) if loaded is None else _run_loaded(fds, loaded)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
        code = 126
    finally:
        _end(code)


def _run(kind: str, fds: list[int]) -> int:
    sys.excepthook = sys.__excepthook__
    _reset_signals()
    # Functions that were registered before the fork belong to the zygote.
    atexit._clear()

    job = socket.socket(fileno=fds[0])
    if kind == "warm":
        from tradewind_guest import warm, zygote

        warm.run(job, zygote.serve_loaded)
    streams.redirect(fds[1], fds[2])
    streams.renew()
    prelude = wire.read_prelude(job)
    match kind:
        case "task":
            from tradewind_guest import task_host

            task_host.run(prelude, job, fds[3])
        case "callback":
            from tradewind_guest import callback_host

            return callback_host.run(prelude, job, fds[3])
        case "triggers":
            from tradewind_guest import trigger_host

            trigger_host.run(prelude, job, fds[3])
        case "timetable":
            from tradewind_guest import timetable_host

            timetable_host.run(prelude, job)
        case "parse":
            from tradewind_guest import parse_host

            parse_host.run(prelude, job)
        case other:
            raise ValueError(f"unknown kind of job {other!r}")
    return 0


def _run_loaded(fds: list[int], loaded: Loaded) -> int:
    """Run a task of a loaded file. Hooks, streams and functions for the end are those that the load left."""
    from tradewind_guest import task_host

    _reset_signals()
    streams.redirect(fds[1], fds[2])
    job = socket.socket(fileno=fds[0])
    task_host.run(wire.read_prelude(job), job, fds[3], loaded)
    return 0


def _reset_signals() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_DFL)


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code
    print(end.code, file=sys.stderr)
    return 1


def _end(code: int) -> NoReturn:
    # Only what the job registered itself runs here, not the zygote's.
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    streams.flush()
    os._exit(code)
