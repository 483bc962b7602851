"""A skipped setup skips its work and its teardown."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import skip

with DAG("st_skipped", schedule=None):
    up = PythonOperator(task_id="up", python_callable=skip).as_setup()
    work = EmptyOperator(task_id="work")
    anyway = EmptyOperator(task_id="anyway", trigger_rule="all_done")
    down = PythonOperator(task_id="down", python_callable=print).as_teardown(setups=up)
    up >> work >> anyway >> down
