"""Cron on the two nights of the year when clocks change, in New York: by trigger and by data interval.

options:
  dags: [cron_dst_spring, cron_dst_autumn, cron_dst_spring_interval, cron_dst_autumn_interval, cron_dst_hourly]
scenario:
  - wait: {dag: cron_dst_spring, count: 3}
  - wait: {dag: cron_dst_autumn, count: 3}
  - wait: {dag: cron_dst_spring_interval, count: 3}
  - wait: {dag: cron_dst_autumn_interval, count: 3}
  - wait: {dag: cron_dst_hourly, count: 4}
  - settle: {seconds: 2}
"""

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, CronTriggerTimetable

NEW_YORK = pendulum.timezone("America/New_York")
SPRING = pendulum.datetime(2026, 3, 7, 12, tz=NEW_YORK), pendulum.datetime(2026, 3, 10, 12, tz=NEW_YORK)
AUTUMN = pendulum.datetime(2025, 11, 1, 12, tz=NEW_YORK), pendulum.datetime(2025, 11, 4, 12, tz=NEW_YORK)

for name, timetable, (start, end) in (
    ("spring", CronTriggerTimetable("30 2 * * *", timezone=NEW_YORK), SPRING),
    ("autumn", CronTriggerTimetable("30 1 * * *", timezone=NEW_YORK), AUTUMN),
    ("spring_interval", CronDataIntervalTimetable("30 2 * * *", timezone=NEW_YORK), SPRING),
    ("autumn_interval", CronDataIntervalTimetable("30 1 * * *", timezone=NEW_YORK), AUTUMN),
    (
        "hourly",
        CronTriggerTimetable("0 */2 * * *", timezone=NEW_YORK),
        (pendulum.datetime(2026, 3, 8, 0, tz=NEW_YORK), pendulum.datetime(2026, 3, 8, 9, tz=NEW_YORK)),
    ),
):
    with DAG(f"cron_dst_{name}", schedule=timetable, start_date=start, end_date=end, catchup=True) as dag:
        EmptyOperator(task_id="a")
    globals()[dag.dag_id] = dag
