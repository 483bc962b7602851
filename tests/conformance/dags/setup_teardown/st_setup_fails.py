"""A failed setup: its work is upstream_failed, its teardown too."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("st_setup_fails", schedule=None):
    up = PythonOperator(task_id="up", python_callable=fail).as_setup()
    work = EmptyOperator(task_id="work")
    after = EmptyOperator(task_id="after")
    down = PythonOperator(task_id="down", python_callable=print).as_teardown(setups=up)
    up >> work >> down >> after
    EmptyOperator(task_id="aside")
