"""@once: one run, with and without catchup.

options:
  dags: [once_catchup, once_plain, once_no_start]
scenario:
  - wait: {dag: once_catchup, count: 1}
  - wait: {dag: once_plain, count: 1}
  - wait: {dag: once_no_start, count: 1}
  - settle: {seconds: 3}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("once_catchup", schedule="@once", start_date=datetime(2026, 1, 1), catchup=True):
    EmptyOperator(task_id="a")
with DAG("once_plain", schedule="@once", start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="a")
with DAG("once_no_start", schedule="@once"):
    EmptyOperator(task_id="a")
