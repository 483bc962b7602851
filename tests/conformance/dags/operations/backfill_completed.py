"""A backfill that reprocesses all that is complete.

scenario:
  - wait: {count: 2}
  - backfill: {from: "2026-01-01T00:00:00Z", to: "2026-01-03T00:00:00Z", reprocess: completed, conf: {why: again}}
  - settle: {seconds: 3}
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, task

with DAG(
    "backfill_completed",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 2),
    catchup=True,
):

    @task
    def act(ds: str) -> str:
        return ds

    act()
