"""A backfill with depends_on_past must reprocess; its runs go in order.

options:
  ordered: true
scenario:
  - backfill: {from: "2025-06-01T00:00:00Z", to: "2025-06-03T00:00:00Z", expect: rejected}
  - backfill: {from: "2025-06-01T00:00:00Z", to: "2025-06-03T00:00:00Z", reprocess: failed}
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("backfill_past", schedule="@daily", start_date=datetime(2025, 1, 1), end_date=datetime(2025, 1, 1)):

    @task(depends_on_past=True)
    def act(ds: str) -> None:
        note("backfill_past", ds)

    act()
