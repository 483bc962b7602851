"""Answers what top-level code of a DAG file asks while it is parsed."""

from __future__ import annotations

import socket
import threading
from typing import Any

from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms

from tradewind_guest import wire


class ParseAnswers:
    """Stands where a running task has its channel to the supervisor.

    Only variables and connections can be asked for: there is no run yet that anything else could belong to. With a
    channel, what is not known here is asked of the supervisor.
    """

    def __init__(
        self,
        variables: dict[str, str],
        connections: dict[str, dict[str, Any]],
        channel: socket.socket | None = None,
    ) -> None:
        self._variables = variables
        self._connections = connections
        self._channel = channel
        self._turn = threading.Lock()

    def send(self, msg: Any) -> Any:
        match msg:
            case comms.GetVariable():
                value = self._variables[msg.key] if msg.key in self._variables else self._ask("variable", msg.key)
                if value is not None:
                    return comms.VariableResult(key=msg.key, value=value)
                return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})
            case comms.GetConnection():
                found = self._connections.get(msg.conn_id) or self._ask("connection", msg.conn_id)
                if found is not None:
                    return comms.ConnectionResult(**found)
                return comms.ErrorResponse(
                    error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id}
                )
            case comms.MaskSecret():
                return None
        raise RuntimeError(f"{type(msg).__name__} cannot be asked while a DAG file is parsed")

    def _ask(self, kind: str, name: str) -> Any:
        if self._channel is None:
            return None
        with self._turn:
            # The supervisor knows a question by this first key.
            wire.write_frame(self._channel, {"ask": kind, "name": name})
            answer = wire.read_prelude(self._channel)
        if why := answer.get("error"):
            raise RuntimeError(f"the {kind} {name!r} cannot be read: {why}")
        return answer["value"]

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)
