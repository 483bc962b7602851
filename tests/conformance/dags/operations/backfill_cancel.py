"""A backfill with one run at a time that is paused, goes on, and is cancelled: runs not begun fail.

scenario:
  - backfill: {from: "2025-06-01T00:00:00Z", to: "2025-06-04T00:00:00Z", max_active_runs: 1}
  - wait_journal: {lines: 1}
  - pause_backfill
  - settle: {seconds: 8}
  - note_states: {run_id: "backfill__2025-06-01T00:00:00+00:00"}
  - note_states: {run_id: "backfill__2025-06-02T00:00:00+00:00"}
  - unpause_backfill
  - wait_journal: {lines: 2}
  - cancel_backfill
  - wait: {count: 4}
"""

import time
from datetime import datetime

from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("backfill_cancel", schedule="@daily", start_date=datetime(2025, 1, 1), end_date=datetime(2025, 1, 1)):

    @task
    def act(ds: str) -> None:
        note("backfill_cancel", ds)
        time.sleep(5)

    act()
