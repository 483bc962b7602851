"""MultipleCronTriggerTimetable: the next of several expressions.

scenario:
  - wait: {count: 5}
  - settle: {seconds: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, MultipleCronTriggerTimetable

with DAG(
    "several_crons",
    schedule=MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * FRI", "0 6 * * FRI", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 4, 12),
    catchup=True,
):
    EmptyOperator(task_id="a")
