"""What every forked child does before and after its job."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import socket
import sys
import traceback
from typing import NoReturn

from tradewind_guest import wire


def run(kind: str, fds: list[int]) -> NoReturn:
    """Run one job in this freshly forked process and end it. Nothing returns into the zygote's loop."""
    code = 125
    try:
        code = _run(kind, fds)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
        code = 126
    finally:
        _end(code)


def _run(kind: str, fds: list[int]) -> int:
    sys.excepthook = sys.__excepthook__
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_DFL)
    # Functions that were registered before the fork belong to the zygote.
    atexit._clear()

    job = socket.socket(fileno=fds[0])
    _redirect(fds[1], fds[2])
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


def _redirect(stdout: int, stderr: int) -> None:
    for name, source, target in (("stdout", stdout, 1), ("stderr", stderr, 2)):
        os.dup2(source, target)
        os.close(source)
        # Whatever the locale says, printing any text must work.
        stream = io.TextIOWrapper(
            os.fdopen(target, "wb", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


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
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)
