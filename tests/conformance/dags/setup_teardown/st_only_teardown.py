"""A teardown without a setup runs whatever happened before it."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("st_only_teardown", schedule=None):
    bad = PythonOperator(task_id="bad", python_callable=fail)
    below = EmptyOperator(task_id="below")
    down = PythonOperator(task_id="down", python_callable=print).as_teardown()
    bad >> below >> down
