"""Exceptions that nothing raises any more; code that catches them still names them."""

from __future__ import annotations

from airflow.exceptions import AirflowException


class RemovedInAirflow3Warning(DeprecationWarning):
    """Was issued for what Airflow 3 removed."""

    deprecated_since: str | None = None


class AirflowDagInconsistent(AirflowException):
    """A DAG had inconsistent attributes."""


class AirflowWebServerTimeout(AirflowException):
    """The web server did not answer in time."""


class BackfillUnfinished(AirflowException):
    """A backfill ended with tasks that did not succeed."""

    def __init__(self, message: str, ti_status: object = None) -> None:
        super().__init__(message)
        self.ti_status = ti_status


class DagFileExists(AirflowException):
    """A DAG file was imported twice."""


class NoAvailablePoolSlot(AirflowException):
    """A pool had no free slot."""


class DagConcurrencyLimitReached(AirflowException):
    """A DAG had as many running tasks as it may."""


class TaskConcurrencyLimitReached(AirflowException):
    """A task ran as often at once as it may."""


class UnmappableOperator(AirflowException):
    """An operator could not be mapped."""


class UnmappableXComLengthPushed(AirflowException):
    """A task pushed more values to map over than allowed."""
