"""Clear a task alone, with its upstream, with its downstream, and dry runs of each.

scenario:
  - trigger
  - wait
  - clear: {tasks: [c], dry_run: true}
  - clear: {tasks: [c], upstream: true, dry_run: true}
  - clear: {tasks: [c], downstream: true, dry_run: true}
  - clear: {tasks: [c], upstream: true, downstream: true, dry_run: true}
  - clear: {tasks: [b, d], dry_run: true}
  - clear: {tasks: [c]}
  - wait
  - note_states
  - clear: {tasks: [c], downstream: true}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("clear_directions", schedule=None, default_args={"retries": 1}):
    a, b, c, d, e = (PythonOperator(task_id=name, python_callable=print) for name in "abcde")
    a >> [b, c] >> d >> e
