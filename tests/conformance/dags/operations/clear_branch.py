"""Clearing a branch that then decides otherwise: what was skipped runs, what ran is skipped.

scenario:
  - variable: {key: clear_branch, value: left}
  - trigger
  - wait
  - note_states
  - variable: {key: clear_branch, value: right}
  - clear: {tasks: [choose], downstream: true}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Variable, task

with DAG("clear_branch", schedule=None):

    @task.branch
    def choose() -> str:
        return Variable.get("clear_branch")

    (
        choose()
        >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")]
        >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    )
