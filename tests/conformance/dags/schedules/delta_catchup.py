"""timedelta and relativedelta schedules, by trigger and by data interval.

options:
  dags: [delta_catchup_plain, delta_catchup_relative, delta_catchup_interval, delta_catchup_months, delta_catchup_trigger]
scenario:
  - wait: {dag: delta_catchup_plain, count: 3}
  - wait: {dag: delta_catchup_relative, count: 3}
  - wait: {dag: delta_catchup_interval, count: 3}
  - wait: {dag: delta_catchup_months, count: 2}
  - wait: {dag: delta_catchup_trigger, count: 3}
  - settle: {seconds: 2}
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, DeltaDataIntervalTimetable, DeltaTriggerTimetable
from dateutil.relativedelta import relativedelta

for name, schedule, start, end in (
    ("plain", timedelta(hours=7), datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 20)),
    ("relative", relativedelta(months=1), datetime(2026, 1, 31), datetime(2026, 4, 1)),
    ("interval", DeltaDataIntervalTimetable(timedelta(hours=7)), datetime(2026, 1, 1, 5), datetime(2026, 1, 2, 6)),
    ("months", DeltaDataIntervalTimetable(relativedelta(months=1)), datetime(2026, 1, 31), datetime(2026, 3, 15)),
    (
        "trigger",
        DeltaTriggerTimetable(timedelta(hours=7), interval=timedelta(hours=1)),
        datetime(2026, 1, 1, 5),
        datetime(2026, 1, 1, 20),
    ),
):
    with DAG(f"delta_catchup_{name}", schedule=schedule, start_date=start, end_date=end, catchup=True) as dag:
        EmptyOperator(task_id="a")
    globals()[dag.dag_id] = dag
