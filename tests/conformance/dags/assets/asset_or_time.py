"""AssetOrTimeSchedule: runs of the timetable and runs of events.

options:
  dags: [asset_or_time_source, asset_or_time]
scenario:
  - wait: {dag: asset_or_time, count: 2}
  - trigger: {dag: asset_or_time_source}
  - wait: {dag: asset_or_time, count: 3}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable

A = Asset("x-conformance://asset_or_time/a")

with DAG("asset_or_time_source", schedule=None):
    EmptyOperator(task_id="makes", outlets=[A])

with DAG(
    "asset_or_time",
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC"), assets=[A]),
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 3),
    catchup=True,
):
    EmptyOperator(task_id="end")
