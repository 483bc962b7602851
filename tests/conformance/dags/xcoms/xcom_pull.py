"""xcom_push and xcom_pull: keys, several tasks, defaults, other runs, task groups, reserved keys.

scenario:
  - trigger
  - wait
  - trigger
  - wait
"""

from airflow.sdk import DAG, TaskGroup, get_current_context, task

with DAG("xcom_pull", schedule=None):

    @task
    def push() -> str:
        ti = get_current_context()["ti"]
        ti.xcom_push(key="one", value=1)
        ti.xcom_push(key="one", value=2)
        ti.xcom_push(key="of run", value=get_current_context()["run_id"])
        return "returned"

    with TaskGroup("group"):

        @task
        def inside() -> str:
            return "inside"

        within = inside()

    @task
    def look() -> dict:
        ti = get_current_context()["ti"]
        listed = lambda value: list(value) if not isinstance(value, (str, int, type(None))) else value  # noqa: E731
        return {
            "returned": ti.xcom_pull(task_ids="push"),
            "one": ti.xcom_pull(task_ids="push", key="one"),
            "missing": ti.xcom_pull(task_ids="push", key="none"),
            "missing_default": ti.xcom_pull(task_ids="push", key="none", default=5),
            "unknown_task": ti.xcom_pull(task_ids="nowhere"),
            "several": listed(ti.xcom_pull(task_ids=["push", "group.inside", "nowhere"])),
            "group": ti.xcom_pull(task_ids="group.inside"),
            "earlier": listed(ti.xcom_pull(task_ids="push", key="of run", include_prior_dates=True)),
            "other_run": ti.xcom_pull(task_ids="push", key="of run", run_id="run_1"),
        }

    [push(), within] >> look()
