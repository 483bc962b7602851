"""Clear only what failed, with what lies downstream; the rest keeps its try number.

scenario:
  - variable: {key: clear_failed, value: "no"}
  - trigger
  - wait
  - note_states
  - variable: {key: clear_failed, value: "yes"}
  - clear: {only_failed: true, dry_run: true}
  - clear: {only_failed: true}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Variable, task

with DAG("clear_failed", schedule=None):

    @task
    def good() -> str:
        return "good"

    @task(retries=0)
    def bad() -> None:
        if Variable.get("clear_failed") != "yes":
            raise ValueError("not yet")

    good() >> bad() >> EmptyOperator(task_id="below") >> EmptyOperator(task_id="far_below")
