"""Backfills that are refused: no schedule, a date range the wrong way, the future, a second one at once.

options:
  dags: [backfill_refused, backfill_no_schedule]
scenario:
  - backfill: {dag: backfill_no_schedule, from: "2025-06-01T00:00:00Z", to: "2025-06-03T00:00:00Z", expect: rejected}
  - backfill: {from: "2025-06-03T00:00:00Z", to: "2025-06-01T00:00:00Z", expect: rejected}
  - backfill: {from: "2098-06-01T00:00:00Z", to: "2098-06-03T00:00:00Z", expect: rejected}
  - backfill: {from: "2025-06-01T00:00:00Z", to: "2025-06-02T00:00:00Z"}
  - wait_journal: {lines: 2}
  - backfill: {from: "2025-07-01T00:00:00Z", to: "2025-07-02T00:00:00Z", expect: rejected}
  - cancel_backfill
  - wait: {dag: backfill_refused, count: 2}
"""

import time
from datetime import datetime

from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("backfill_refused", schedule="@daily", start_date=datetime(2025, 1, 1), end_date=datetime(2025, 1, 1)):

    @task
    def act(ds: str) -> None:
        note("backfill_refused", ds)
        time.sleep(8)

    act()

with DAG("backfill_no_schedule", schedule=None):
    act.override(task_id="other")("x")
