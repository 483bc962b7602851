"""depends_on_past is content with a skipped task in the run before.

scenario:
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

with DAG(
    "past_skipped", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True
):

    @task(depends_on_past=True)
    def step(ds: str) -> str:
        if ds == "2026-01-02":
            raise AirflowSkipException("not on this day")
        return ds

    step()
