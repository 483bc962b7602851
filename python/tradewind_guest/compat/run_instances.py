"""``dag_run.get_task_instances()`` of Airflow 2: what the supervisor says of the other tasks of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Instance:
    """What can be asked of another task instance: which one it is, and its state."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: Any

    def current_state(self, **_: Any) -> Any:
        """Return the state, as it was when it was asked for."""
        return self.state


def get_task_instances(self: Any, state: Any = None, **_: Any) -> list[Instance]:
    """List the task instances of the run, those in one of the states if any are given."""
    from airflow.sdk import TaskInstanceState
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(dag_id=self.dag_id, run_ids=[self.run_id]).get(self.run_id, {})
    tasks = _tasks(self.dag_id)
    found = [
        Instance(self.dag_id, self.run_id, *_parts(name, tasks), TaskInstanceState(value) if value else None)
        for name, value in states.items()
    ]
    if state is None:
        return found
    wanted = [state] if isinstance(state, str) or not isinstance(state, Iterable) else list(state)
    return [instance for instance in found if instance.state in wanted]


def get_task_instance(self: Any, task_id: str, map_index: int = -1, **_: Any) -> Instance | None:
    """Return one task instance of the run."""
    for instance in get_task_instances(self):
        if (instance.task_id, instance.map_index) == (task_id, map_index):
            return instance
    return None


def _tasks(dag_id: str) -> Iterable[str]:
    from airflow.sdk import get_current_context

    try:
        dag = get_current_context()["dag"]
    except RuntimeError:
        return ()
    return dag.task_dict if dag.dag_id == dag_id else ()


def _parts(name: str, tasks: Iterable[str]) -> tuple[str, int]:
    """Take the index of a mapped task off its name: they come as one text."""
    task, _, index = name.rpartition("_")
    if name not in tasks and task in tasks and index.isdigit():
        return task, int(index)
    return name, -1
