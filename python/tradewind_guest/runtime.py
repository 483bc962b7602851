"""DAGs and task instances as user code finds them, where no task runs."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk.api.datamodels._generated import TaskInstance, TIRunContext
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance


def load_dag(bundle: Path, rel_path: str, bundle_name: str, dag_id: str) -> Any:
    """Load a DAG from its file in an unpacked bundle."""
    bag = BundleDagBag(
        dag_folder=str(bundle / rel_path),
        safe_mode=False,
        load_op_links=False,
        bundle_path=bundle,
        bundle_name=bundle_name,
    )
    if dag_id not in bag.dags:
        reasons = "\n".join(bag.import_errors.values()) or "the file defines other DAGs only"
        raise LookupError(f"the DAG {dag_id!r} could not be loaded from {rel_path}: {reasons}")
    return bag.dags[dag_id]


def task_instance(ti: TaskInstance, task: Any, context: TIRunContext | None, **more: Any) -> RuntimeTaskInstance:
    """Make the task instance that a context is built around."""
    return RuntimeTaskInstance.model_construct(
        **{
            **ti.model_dump(exclude_unset=True),
            "start_date": (context and context.start_date) or datetime.datetime.now(datetime.timezone.utc),
            **more,
        },
        task=task,
        _ti_context_from_server=context,
        max_tries=context.max_tries if context else task.retries,
    )
