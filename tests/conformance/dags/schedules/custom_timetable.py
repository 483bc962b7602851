"""A timetable class of a plugin: its runs, data intervals and run ids.

scenario:
  - wait: {count: 3}
  - trigger: {run_id: null, logical_date: "2026-01-10T09:30:00Z"}
  - wait: {count: 4}
  - settle: {seconds: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from conformance_plugin import EveryOtherDay

with DAG(
    "custom_timetable",
    schedule=EveryOtherDay(hour=5),
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 6),
    catchup=True,
):
    EmptyOperator(task_id="a")
