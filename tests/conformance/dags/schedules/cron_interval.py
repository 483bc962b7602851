"""CronDataIntervalTimetable and CronTriggerTimetable with an interval: logical dates and data intervals; the end date.

options:
  dags: [cron_interval_data, cron_interval_trigger, cron_interval_monthly]
scenario:
  - wait: {dag: cron_interval_data, count: 3}
  - wait: {dag: cron_interval_trigger, count: 3}
  - wait: {dag: cron_interval_monthly, count: 2}
  - settle: {seconds: 2}
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, CronTriggerTimetable, get_current_context, task


@task
def look() -> dict:
    context = get_current_context()
    names = (
        "ds",
        "ts",
        "data_interval_start",
        "data_interval_end",
        "prev_data_interval_start_success",
        "prev_data_interval_end_success",
    )
    return {name: str(context.get(name)) for name in names[:4]}


for name, timetable, start, end in (
    ("data", CronDataIntervalTimetable("0 6 * * *", timezone="UTC"), datetime(2026, 1, 1), datetime(2026, 1, 4)),
    (
        "trigger",
        CronTriggerTimetable("0 6 * * *", timezone="UTC", interval=timedelta(days=2)),
        datetime(2026, 1, 1),
        datetime(2026, 1, 4),
    ),
    ("monthly", CronDataIntervalTimetable("@monthly", timezone="UTC"), datetime(2025, 11, 15), datetime(2026, 1, 15)),
):
    with DAG(f"cron_interval_{name}", schedule=timetable, start_date=start, end_date=end, catchup=True) as dag:
        look()
    globals()[dag.dag_id] = dag
