"""Which names a task's context holds, in a run with and without a logical date; the task's environment.

scenario:
  - trigger
  - trigger: {logical_date: null}
  - wait
"""

import os

from airflow.sdk import DAG, get_current_context, task

with DAG("tpl_context", schedule=None, default_args={"owner": "ann", "email": ["a@conformance.example"]}):

    @task
    def names() -> list[str]:
        return sorted(get_current_context())

    @task
    def environment() -> dict[str, str]:
        return {name: value for name, value in sorted(os.environ.items()) if name.startswith("AIRFLOW_CTX_")}

    @task
    def by_arguments(ds=None, ti=None, dag_run=None, nothing=3, **context) -> dict:
        return {"ds": ds, "task": ti.task_id, "run": dag_run.run_id, "nothing": nothing, "more": "params" in context}

    names()
    environment()
    by_arguments()
