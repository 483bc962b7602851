"""Runs of a paused DAG wait; they go on when it is unpaused.

options:
  unpause: []
scenario:
  - trigger
  - settle: {seconds: 4}
  - note_states
  - unpause
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("paused", schedule=None):
    EmptyOperator(task_id="a")
