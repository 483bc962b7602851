"""Clearing a task that a branch had skipped: it is skipped again.

scenario:
  - trigger
  - wait
  - clear: {tasks: [right], downstream: true}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("clear_skipped", schedule=None):

    @task.branch
    def choose() -> str:
        return "left"

    (
        choose()
        >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")]
        >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    )
