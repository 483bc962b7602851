"""Answers what top-level code of a DAG file asks while it is parsed."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms


class ParseAnswers:
    """Stands where a running task has its channel to the supervisor.

    Only variables and connections can be asked for: there is no run yet that anything else could belong to.
    """

    def __init__(self, variables: dict[str, str], connections: dict[str, dict[str, Any]]) -> None:
        self._variables = variables
        self._connections = connections

    def send(self, msg: Any) -> Any:
        match msg:
            case comms.GetVariable():
                if msg.key in self._variables:
                    return comms.VariableResult(key=msg.key, value=self._variables[msg.key])
                return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})
            case comms.GetConnection():
                if msg.conn_id in self._connections:
                    return comms.ConnectionResult(**self._connections[msg.conn_id])
                return comms.ErrorResponse(
                    error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id}
                )
            case comms.MaskSecret():
                return None
        raise RuntimeError(f"{type(msg).__name__} cannot be asked while a DAG file is parsed")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)
