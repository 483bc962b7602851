"""depends_on_past: runs go one after the other when each succeeds.

scenario:
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, task

with DAG(
    "past_success", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True
):

    @task(depends_on_past=True)
    def step(ds: str) -> str:
        return ds

    step()
