"""A cron expression of six fields (with seconds).

scenario:
  - wait: {count: 3}
  - settle: {seconds: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(
    "six_fields",
    schedule="0 * * * * 20",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 1, 2, 30),
    catchup=True,
):
    EmptyOperator(task_id="a")
