"""Asks priority weight strategies of the user's own, as Airflow does when it creates a task instance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def of_dag(dag: Any) -> dict[str, int]:
    """Give the weight of each task with a custom strategy; one that raises is left out, and so gets a remark.

    A task instance has done no try when it is created, and belongs to no run that the strategy could ask about.
    """
    found = {}
    for task in dag.tasks:
        strategy = getattr(task, "weight_rule", None)
        # Airflow's own are counted by the scheduler, over the whole graph.
        if not hasattr(strategy, "get_weight") or type(strategy).__module__.startswith("airflow."):
            continue
        instance = SimpleNamespace(
            task=task, task_id=task.task_id, dag_id=dag.dag_id, map_index=-1, try_number=0, dag_run=None, run_id=None
        )
        try:
            found[task.task_id] = int(strategy.get_weight(instance))
        except Exception:  # noqa: BLE001 - it is the user's code
            continue
    return found
