"""Without catchup: only the latest run, made at once. A year's schedule, so that the latest is always the same.

options:
  dags: [no_catchup_trigger, no_catchup_interval, no_catchup_end]
scenario:
  - wait: {dag: no_catchup_trigger, count: 1}
  - wait: {dag: no_catchup_interval, count: 1}
  - settle: {seconds: 3}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG("no_catchup_trigger", schedule="0 0 1 2 *", start_date=datetime(2020, 1, 1), end_date=datetime(2026, 12, 31)):
    EmptyOperator(task_id="a")
with DAG(
    "no_catchup_interval",
    schedule=CronDataIntervalTimetable("0 0 1 2 *", timezone="UTC"),
    start_date=datetime(2020, 1, 1),
    end_date=datetime(2026, 12, 31),
):
    EmptyOperator(task_id="a")
with DAG("no_catchup_end", schedule="@daily", start_date=datetime(2020, 1, 1), end_date=datetime(2020, 2, 1)):
    EmptyOperator(task_id="a")
