"""A backfill that reprocesses what failed.

scenario:
  - variable: {key: backfill_failed, value: "no"}
  - wait: {count: 3}
  - variable: {key: backfill_failed, value: "yes"}
  - backfill: {from: "2026-01-01T00:00:00Z", to: "2026-01-03T00:00:00Z", reprocess: failed}
  - settle: {seconds: 3}
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, Variable, task

with DAG(
    "backfill_failed", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True
):

    @task
    def act(ds: str) -> str:
        if ds == "2026-01-02" and Variable.get("backfill_failed") != "yes":
            raise ValueError("not yet")
        return ds

    act()
