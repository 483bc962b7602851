"""A run whose logical date lies in the future waits for it.

scenario:
  - trigger: {logical_date: "2098-01-01T00:00:00Z"}
  - settle: {seconds: 4}
  - note_states
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("trigger_future", schedule=None):
    EmptyOperator(task_id="a")
