"""SLAs of tasks, watched as deadlines of their DAG's runs.

An SLA says how long after its run was due a task may take. The DAG gets one ``DeadlineAlert`` for each different SLA of
its tasks, counted from when the run was queued. When it strikes, the tasks that are not done are told to the DAG's
``sla_miss_callback``, or to the log. As in Airflow 2, runs made by hand are not held to SLAs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import structlog

log = structlog.get_logger("tradewind.sla")

#: States in which a task is done as far as its SLA goes.
_DONE = {"success", "skipped", "removed"}

#: How Airflow's importer begins the name of a DAG file's module.
_DAG_FILE = "unusual_prefix_"


def keep_callback(dag: Any, dag_id: str, callback: Any) -> None:
    """Put a function into the DAG file's module that calls ``sla_miss_callback``.

    The callback of a deadline is named by its path. Whoever runs it loads the DAG file again, and so makes it again.
    """
    module = _dag_file_module()
    if module is None:
        return
    name = "_sla_missed_" + re.sub(r"\W", "_", dag_id)
    callbacks = callback if isinstance(callback, (list, tuple)) else [callback]

    def missed(context: Any, task_ids: list[str], sla_secs: float) -> None:
        late = _late(context, task_ids)
        if late:
            _tell(dag, callbacks, context, late, sla_secs)

    module[name] = missed
    dag._sla_callback_path = f"{module['__name__']}.{name}"


def _dag_file_module() -> dict[str, Any] | None:
    frame = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_DAG_FILE):
            return frame.f_globals
        frame = frame.f_back  # type: ignore[assignment]
    return None


def attach(dag: Any) -> None:
    """Give a DAG the deadlines that its tasks' SLAs come to."""
    from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

    by_sla: dict[timedelta, list[str]] = {}
    for task in dag.tasks:
        sla = getattr(task, "sla", None) or getattr(task, "partial_kwargs", {}).get("sla")
        if sla is not None:
            by_sla.setdefault(sla if isinstance(sla, timedelta) else timedelta(seconds=sla), []).append(task.task_id)
    path = getattr(dag, "_sla_callback_path", f"{__name__}.log_missed")
    alerts = [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=sla,
            callback=SyncCallback(path, {"task_ids": sorted(task_ids), "sla_secs": sla.total_seconds()}),
            name=f"SLA {sla}",
        )
        for sla, task_ids in sorted(by_sla.items())
    ]
    if alerts:
        dag.deadline = [*(dag.deadline or []), *alerts]


def log_missed(context: Any, task_ids: list[str], sla_secs: float) -> None:
    """Write the tasks that missed their SLA to the log."""
    late = _late(context, task_ids)
    if late:
        log.warning("SLA missed", dag_id=_run(context)["dag_id"], run_id=_run(context)["run_id"], tasks=late, sla_secs=sla_secs)


def _run(context: Any) -> dict[str, Any]:
    run = context["dag_run"]
    return run if isinstance(run, dict) else run.model_dump(mode="json")


def _late(context: Any, task_ids: list[str]) -> list[str]:
    """List those of the tasks that are not done."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    run = _run(context)
    if run["run_type"] == "manual":
        return []
    states = RuntimeTaskInstance.get_task_states(dag_id=run["dag_id"], task_ids=task_ids, run_ids=[run["run_id"]])
    of_run = states.get(run["run_id"], {})
    return [task_id for task_id in task_ids if str(of_run.get(task_id)) not in _DONE]


def _tell(dag: Any, callbacks: list[Callable[..., Any]], context: Any, late: list[str], sla_secs: float) -> None:
    """Call ``sla_miss_callback`` as Airflow 2 did: DAG, two texts that list tasks, SLAs, blocking task instances."""
    run = _run(context)
    date = run.get("logical_date") or run.get("run_after")
    listed = "\n".join(f"{task_id} on {date}" for task_id in late)
    slas = [
        SimpleNamespace(dag_id=dag.dag_id, task_id=task_id, execution_date=date, sla_secs=sla_secs) for task_id in late
    ]
    for callback in callbacks:
        callback(dag, listed, listed, slas, [])
