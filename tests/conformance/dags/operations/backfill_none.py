"""A backfill makes the runs that are missing, and leaves those that are there.

options:
  unpause: [backfill_none]
scenario:
  - wait: {count: 2}
  - backfill: {from: "2026-01-01T00:00:00Z", to: "2026-01-07T00:00:00Z", dry_run: true}
  - backfill: {from: "2026-01-01T00:00:00Z", to: "2026-01-07T00:00:00Z"}
  - wait: {count: 7}
"""

from datetime import datetime

from airflow.sdk import DAG, get_current_context, task

with DAG(
    "backfill_none", schedule="@daily", start_date=datetime(2026, 1, 3), end_date=datetime(2026, 1, 4), catchup=True
):

    @task
    def look() -> str:
        return str(get_current_context()["dag_run"].run_type)

    look()
