"""SLAs of tasks, watched as deadlines of their DAG's runs.

An SLA says how long after its run was due a task may take. The DAG gets one ``DeadlineAlert`` for each different SLA of
its tasks, counted from when the run was queued. When it strikes, the tasks that are not done are told to the DAG's
``sla_miss_callback``, or to the log, and mailed to the addresses in their ``email``. As in Airflow 2, runs made by hand are
not held to SLAs.
"""

from __future__ import annotations

import html
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

    def missed(context: Any, task_ids: list[str], sla_secs: float, emails: dict[str, list[str]]) -> None:
        late = _late(context, task_ids)
        if late:
            # Mails do not wait for a callback that raises.
            _mail(context, late, emails)
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

    by_sla: dict[timedelta, dict[str, list[str]]] = {}
    for task in dag.tasks:
        sla = _of(task, "sla")
        if sla is not None:
            tasks = by_sla.setdefault(sla if isinstance(sla, timedelta) else timedelta(seconds=sla), {})
            tasks[task.task_id] = _addresses(_of(task, "email"))
    path = getattr(dag, "_sla_callback_path", f"{__name__}.log_missed")
    alerts = [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=sla,
            callback=SyncCallback(path, {"task_ids": sorted(tasks), "sla_secs": sla.total_seconds(), "emails": tasks}),
            name=f"SLA {sla}",
        )
        for sla, tasks in sorted(by_sla.items())
    ]
    if alerts:
        dag.deadline = [*(dag.deadline or []), *alerts]


def _of(task: Any, name: str) -> Any:
    """An argument of a task, which may be mapped."""
    return getattr(task, name, None) or getattr(task, "partial_kwargs", {}).get(name)


def _addresses(email: Any) -> list[str]:
    """One address, several in a text, or a list, as the operators take them."""
    texts = re.split(r"[,;]", email) if isinstance(email, str) else email or []
    return sorted({text.strip() for text in texts} - {""})


def log_missed(context: Any, task_ids: list[str], sla_secs: float, emails: dict[str, list[str]]) -> None:
    """Write the tasks that missed their SLA to the log."""
    late = _late(context, task_ids)
    if late:
        run = _run(context)
        log.warning("SLA missed", dag_id=run["dag_id"], run_id=run["run_id"], tasks=late, sla_secs=sla_secs)
        _mail(context, late, emails)


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


def _mail(context: Any, late: list[str], emails: dict[str, list[str]]) -> None:
    """Send one mail about all late tasks to whom any of them names, in the way that mails about failures go."""
    to = sorted({address for task_id in late for address in emails.get(task_id, ())})
    if not to:
        return
    from airflow.sdk.configuration import conf
    from airflow.sdk.execution_time.task_runner import _DEFAULT_EMAIL_BACKEND

    run = _run(context)
    backend = conf.get("email", "email_backend", fallback=_DEFAULT_EMAIL_BACKEND)
    listed = "<br>".join(html.escape(f"{task_id} on {_date(run)}") for task_id in late)
    try:
        if backend in ("", _DEFAULT_EMAIL_BACKEND):
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier as Notifier
        else:
            from airflow.sdk.execution_time.email_backend import _LegacyEmailBackendNotifier as Notifier
        Notifier(
            to=to,
            subject=f"[airflow] SLA miss on DAG={run['dag_id']}",
            html_content=f"Here's a list of tasks that missed their SLAs:<br>{listed}",
            from_email=conf.get("email", "from_email", fallback="airflow@airflow"),
        )({})
    except Exception:
        log.exception("The mail about a missed SLA could not be sent", dag_id=run["dag_id"], to=to)


def _date(run: dict[str, Any]) -> Any:
    return run.get("logical_date") or run.get("run_after")


def _tell(dag: Any, callbacks: list[Callable[..., Any]], context: Any, late: list[str], sla_secs: float) -> None:
    """Call ``sla_miss_callback`` as Airflow 2 did: DAG, two texts that list tasks, SLAs, blocking task instances."""
    run = _run(context)
    date = _date(run)
    listed = "\n".join(f"{task_id} on {date}" for task_id in late)
    slas = [
        SimpleNamespace(dag_id=dag.dag_id, task_id=task_id, execution_date=date, sla_secs=sla_secs) for task_id in late
    ]
    for callback in callbacks:
        callback(dag, listed, listed, slas, [])
