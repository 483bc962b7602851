"""The context of a trigger whose task starts in it: no worker has rendered its templates before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk.api.datamodels._generated import TaskInstance, TIRunContext
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from tradewind_guest import runtime


def context(
    prelude: dict[str, Any], order: dict[str, Any], ti: TaskInstance
) -> tuple[RuntimeTaskInstance, Any]:
    """Load the DAG file and give the task instance with its template context."""
    template = order["template"]
    dag = runtime.load_dag(
        Path(prelude["bundle_dir"]), template["dag_rel_path"], prelude["bundle_name"], ti.dag_id
    )
    runtime_ti = runtime.task_instance(
        ti, dag.get_task(ti.task_id), TIRunContext.model_validate(template["ti_context"])
    )
    return runtime_ti, runtime_ti.get_template_context()
