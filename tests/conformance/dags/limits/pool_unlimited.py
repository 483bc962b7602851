"""A pool of -1 slots has no limit; a pool of 0 lets nothing start.

scenario:
  - pool: {name: conformance_unlimited, slots: -1}
  - pool: {name: conformance_zero, slots: 0}
  - trigger
  - wait_task: {task: free_2, state: success}
  - settle: {seconds: 3}
  - note_states
  - mark: {task: never, state: success}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("pool_unlimited", schedule=None):
    for number in range(3):
        PythonOperator(task_id=f"free_{number}", python_callable=print, pool="conformance_unlimited", pool_slots=5)
    PythonOperator(task_id="never", python_callable=print, pool="conformance_zero")
