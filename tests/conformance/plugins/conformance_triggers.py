"""Triggers of the deferral cases. They stand in the plugins folder, where the triggerer can import them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent


class Echo(BaseTrigger):
    """Waits a moment and fires with what it was given."""

    def __init__(self, payload: Any, seconds: float = 1.0) -> None:
        super().__init__()
        self.payload = payload
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "conformance_triggers.Echo", {"payload": self.payload, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(self.payload)


class Raises(BaseTrigger):
    """Raises instead of firing."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "conformance_triggers.Raises", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(1.0)
        raise ValueError("this trigger raises")
        yield TriggerEvent(None)


class Silent(BaseTrigger):
    """Ends without an event."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "conformance_triggers.Silent", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(1.0)
        for never in ():
            yield TriggerEvent(never)


class Ends(BaseTrigger):
    """Ends the task itself, as success, failed or skipped."""

    def __init__(self, state: str, xcoms: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.state = state
        self.xcoms = xcoms

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "conformance_triggers.Ends", {"state": self.state, "xcoms": self.xcoms}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(1.0)
        event = {"success": TaskSuccessEvent, "failed": TaskFailedEvent, "skipped": TaskSkippedEvent}[self.state]
        yield event(xcoms=self.xcoms)
