"""max_active_runs: catchup makes its runs one at a time; manual ones queue.

options:
  ordered: true
scenario:
  - wait: {count: 3}
  - trigger: {run_id: by_hand_1, logical_date: "2026-01-01T12:00:00Z"}
  - trigger: {run_id: by_hand_2, logical_date: "2026-01-02T12:00:00Z"}
  - wait: {count: 5}
"""

import time
from datetime import datetime

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG(
    "max_active_runs",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 3),
    catchup=True,
    max_active_runs=1,
):

    @task
    def act() -> None:
        run_id = get_current_context()["run_id"]
        note("max_active_runs", "begins", run_id=run_id)
        time.sleep(1)
        note("max_active_runs", "ends", run_id=run_id)

    act()
