"""What the scenarios need of a system under test: Airflow or Tradewind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from cases import Case

FINISHED_RUN = ("success", "failed")


class Rejected(Exception):
    """The system refused what a step asked for; a possible outcome."""


def key_of(task_id: str, map_index: int) -> str:
    """How outcomes name a task instance: `task`, or `task[3]` when it is mapped."""
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


class Driver(Protocol):
    """One system. Every method may be called from several threads."""

    dags: Path
    journal: Path

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def prepare(self, case: Case) -> None:
        """Removes what an earlier run of the case left."""

    def wait_until_loaded(self, case: Case, newer: bool) -> None:
        """Waits until the DAGs of the case (with `newer`: in a version of after an edit) are known."""

    def set_paused(self, dag_id: str, paused: bool) -> None: ...

    def trigger(
        self, dag_id: str, run_id: str | None, logical_date: str | None, conf: dict[str, Any] | None
    ) -> str: ...

    def run_states(self, dag_id: str) -> dict[str, str]:
        """State of each run, by run id."""

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of each task instance, by `key_of`; `no_status` for none."""

    def clear(self, dag_id: str, args: dict[str, Any]) -> list[str]:
        """Clears (or with `dry_run` only tells) task instances; answers which, by run id and `key_of`."""

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str, args: dict[str, Any]) -> None: ...

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None: ...

    def backfill(self, dag_id: str, args: dict[str, Any]) -> Any:
        """Creates a backfill, answers its id; with `dry_run` the logical dates that it would run."""

    def change_backfill(self, dag_id: str, backfill: Any, change: str) -> None:
        """`pause`, `unpause` or `cancel`."""

    def answer(
        self, dag_id: str, run_id: str, task_id: str, map_index: int, options: list[str], params: dict
    ) -> None: ...

    def set_pool(self, name: str, slots: int, include_deferred: bool) -> None: ...

    def set_variable(self, key: str, value: str) -> None: ...

    def set_connection(self, conn_id: str, fields: dict[str, Any]) -> None: ...

    def asset_event(self, uri: str, extra: dict[str, Any]) -> None: ...

    def materialize(self, uri: str) -> None: ...

    def snapshot(self, case: Case) -> dict[str, Any]:
        """Everything that is compared, not normalized yet; see README.md for the form."""

    def import_errors(self) -> list[str]:
        """Paths (relative to the DAG folder) of the files that could not be loaded."""
