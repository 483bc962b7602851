"""Notices triggers that hold the event loop up, and with it all others.

Nothing can interrupt code that does not await, so a trigger that goes on for too long costs the process: the supervisor
starts the others again in a new one and fails the culprit, whose name is this process's last word.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
import weakref
from typing import Any

from tradewind_guest.trigger_comms import CURRENT
from tradewind_guest.trigger_output import write_line

#: The exit code of a process that was blocked for too long.
BLOCKED = 86
#: Seconds between two beats of the loop.
_BEAT = 0.2


class Watchdog:
    """Watches one event loop from a thread."""

    def __init__(self, warn_secs: float, limit_secs: float) -> None:
        self._warn = warn_secs
        self._limit = limit_secs
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._owners: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._beat = time.monotonic()

    def start(self) -> asyncio.Task[None]:
        """Begin; the task that is returned makes the loop beat."""
        self._loop.set_task_factory(self._make_task)
        threading.Thread(target=self._watch, name="trigger watchdog", daemon=True).start()
        return self._loop.create_task(self._keep_beating())

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, **kwargs)
        if (owner := CURRENT.get()) is not None:
            self._owners[task] = owner
        return task

    def own(self, trigger: int) -> None:
        """Note that the current task is a trigger's."""
        if (task := asyncio.current_task()) is not None:
            self._owners[task] = trigger

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(_BEAT)

    def _watch(self) -> None:
        warned = False
        while True:
            time.sleep(_BEAT)
            blocked = time.monotonic() - self._beat
            if blocked > self._limit:
                self._end(blocked)
            if blocked < self._warn:
                warned = False
            elif not warned:
                warned = True
                trigger, stack = self._culprit()
                text = (
                    f"the trigger has held up the event loop for {blocked:.1f} s, and with it every other trigger of this "
                    "worker: it must await, or do its work in asyncio.to_thread"
                )
                write_line(trigger, "warning", "tradewind.triggers", text, stack=stack)

    def _end(self, blocked: float) -> None:
        trigger, stack = self._culprit()
        text = f"the trigger held up the event loop for {blocked:.0f} s; its process is ended"
        write_line(trigger, "error", "tradewind.triggers", text, stack=stack, blocked=True)
        os._exit(BLOCKED)

    def _culprit(self) -> tuple[int | None, str]:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)[-8:]) if frame else ""
        return (self._owners.get(task) if task else None), stack
