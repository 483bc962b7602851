"""default_args of the DAG, of a group, and a task's own: the nearest wins."""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, TaskGroup
from conformance_tools import fail

with DAG(
    "retry_default_args",
    schedule=None,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=0.3), "queue": "default"},
):
    PythonOperator(task_id="of_dag", python_callable=fail)
    PythonOperator(task_id="of_task", python_callable=fail, retries=0)
    with TaskGroup("group", default_args={"retries": 2, "priority_weight": 5}):
        PythonOperator(task_id="of_group", python_callable=fail)
