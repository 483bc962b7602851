"""A failed teardown does not fail the run, unless on_failure_fail_dagrun says so.

options:
  dags: [st_teardown_fails, st_teardown_fails_run]
scenario:
  - trigger: {dag: st_teardown_fails}
  - trigger: {dag: st_teardown_fails_run}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

for dag_id, strict in {"st_teardown_fails": False, "st_teardown_fails_run": True}.items():
    with DAG(dag_id, schedule=None) as dag:
        up = PythonOperator(task_id="up", python_callable=print)
        work = PythonOperator(task_id="work", python_callable=print)
        down = PythonOperator(task_id="down", python_callable=fail)
        up >> work >> down.as_teardown(setups=up, on_failure_fail_dagrun=strict)
    globals()[dag_id] = dag
