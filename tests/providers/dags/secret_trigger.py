"""A trigger of the DAG folder's own that reads connections and variables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Connection, Variable
from airflow.triggers.base import BaseTrigger, TriggerEvent


class LookTrigger(BaseTrigger):
    def __init__(self, connections: list[str], variables: list[str]) -> None:
        super().__init__()
        self.connections = connections
        self.variables = variables

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "secret_trigger.LookTrigger", {"connections": self.connections, "variables": self.variables}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        found = {
            "connections": {name: (await Connection.async_get(name)).host for name in self.connections},
            "variables": {name: await asyncio.to_thread(Variable.get, name) for name in self.variables},
        }
        yield TriggerEvent(found)
