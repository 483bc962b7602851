"""A pool that does not exist: the task waits, the others do not; when the pool comes, it starts.

scenario:
  - trigger
  - wait_task: {task: other, state: success}
  - settle: {seconds: 3}
  - note_states
  - pool: {name: conformance_missing_no_more, slots: 1}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("pool_missing", schedule=None):
    PythonOperator(task_id="waits", python_callable=print, pool="conformance_missing_no_more")
    PythonOperator(task_id="other", python_callable=print)
