"""Cron strings with catchup: point-in-time runs; three expressions, one with a time zone.

options:
  dags: [cron_catchup_daily, cron_catchup_weekday, cron_catchup_zone, cron_catchup_or]
scenario:
  - wait: {dag: cron_catchup_daily, count: 4}
  - wait: {dag: cron_catchup_weekday, count: 2}
  - wait: {dag: cron_catchup_zone, count: 3}
  - wait: {dag: cron_catchup_or, count: 3}
  - settle: {seconds: 2}
"""

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

UTC, BERLIN = pendulum.timezone("UTC"), pendulum.timezone("Europe/Berlin")

for name, cron, start, end in (
    ("daily", "30 4 * * *", pendulum.datetime(2026, 1, 1, tz=UTC), pendulum.datetime(2026, 1, 5, tz=UTC)),
    ("weekday", "0 12 * * MON,WED", pendulum.datetime(2026, 1, 5, 12, tz=UTC), pendulum.datetime(2026, 1, 8, tz=UTC)),
    ("zone", "0 1 * * *", pendulum.datetime(2026, 3, 28, tz=BERLIN), pendulum.datetime(2026, 3, 30, 12, tz=BERLIN)),
    ("or", "0 0 13 * FRI", pendulum.datetime(2026, 2, 12, tz=UTC), pendulum.datetime(2026, 2, 27, tz=UTC)),
):
    with DAG(f"cron_catchup_{name}", schedule=cron, start_date=start, end_date=end, catchup=True) as dag:
        EmptyOperator(task_id="a")
    globals()[dag.dag_id] = dag
