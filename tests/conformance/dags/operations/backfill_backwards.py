"""A backfill backwards, one run at a time: latest first; refused with depends_on_past.

options:
  dags: [backfill_backwards, backfill_backwards_past]
  ordered: true
scenario:
  - backfill: {dag: backfill_backwards_past, from: "2025-06-01T00:00:00Z", to: "2025-06-03T00:00:00Z", backwards: true, expect: rejected}
  - backfill: {from: "2025-06-01T00:00:00Z", to: "2025-06-03T00:00:00Z", backwards: true, max_active_runs: 1}
  - wait: {dag: backfill_backwards, count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("backfill_backwards", schedule="@daily", start_date=datetime(2025, 1, 1), end_date=datetime(2025, 1, 1)):

    @task
    def act(ds: str) -> None:
        note("backfill_backwards", ds)

    act()

with DAG("backfill_backwards_past", schedule="@daily", start_date=datetime(2025, 1, 1), end_date=datetime(2025, 1, 1)):
    act.override(depends_on_past=True)()
