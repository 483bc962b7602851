"""A timetable class that raises when it is asked for the next run: no runs, and others are not disturbed.

options:
  dags: [custom_timetable_raises, custom_timetable_raises_not]
scenario:
  - wait: {dag: custom_timetable_raises_not, count: 2}
  - settle: {seconds: 3}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from conformance_plugin import EveryOtherDay, Raising

with DAG("custom_timetable_raises", schedule=Raising(), start_date=datetime(2026, 1, 1), catchup=True):
    EmptyOperator(task_id="a")
with DAG(
    "custom_timetable_raises_not",
    schedule=EveryOtherDay(hour=5),
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 4),
    catchup=True,
):
    EmptyOperator(task_id="a")
