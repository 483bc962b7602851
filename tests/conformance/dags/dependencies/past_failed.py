"""depends_on_past: after a failure the task of the next run waits, until it is cleared and succeeds.

scenario:
  - variable: {key: past_failed, value: "no"}
  - wait: {count: 1}
  - settle: {seconds: 3}
  - note_states: {run_id: "scheduled__2026-01-01T00:00:00+00:00"}
  - note_states: {run_id: "scheduled__2026-01-02T00:00:00+00:00"}
  - variable: {key: past_failed, value: "yes"}
  - clear: {run_id: "scheduled__2026-01-01T00:00:00+00:00", only_failed: true}
  - wait: {count: 3}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Variable, task

with DAG(
    "past_failed", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True
):

    @task(depends_on_past=True)
    def step() -> None:
        if Variable.get("past_failed") != "yes":
            raise ValueError("not yet")

    EmptyOperator(task_id="free") >> step()
