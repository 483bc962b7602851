"""max_consecutive_failed_dag_runs: after two failed runs in a row the DAG is paused.

scenario:
  - wait: {count: 2}
  - settle: {seconds: 4}
"""

from datetime import datetime

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG(
    "failed_runs_pause",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 5),
    catchup=True,
    max_active_runs=1,
    max_consecutive_failed_dag_runs=2,
):
    PythonOperator(task_id="fails", python_callable=fail)
