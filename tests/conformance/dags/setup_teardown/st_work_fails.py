"""Failed work: the teardown runs, the run fails; what follows the teardown follows the work."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("st_work_fails", schedule=None):
    up = PythonOperator(task_id="up", python_callable=print).as_setup()
    work = PythonOperator(task_id="work", python_callable=fail)
    more = EmptyOperator(task_id="more")
    down = PythonOperator(task_id="down", python_callable=print).as_teardown(setups=up)
    up >> work >> more >> down
