"""Setup and teardown in a task group: what comes after the group does not wait for the teardown's outcome."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, TaskGroup
from conformance_tools import fail

with DAG("st_group", schedule=None):
    with TaskGroup("group") as group:
        up = PythonOperator(task_id="up", python_callable=print)
        work = EmptyOperator(task_id="work")
        down = PythonOperator(task_id="down", python_callable=fail)
        up >> work >> down.as_teardown(setups=up)
    group >> EmptyOperator(task_id="after")
