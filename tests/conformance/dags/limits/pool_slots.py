"""pool_slots: tasks that take two or three of three slots; a task that needs more than there are never starts.

scenario:
  - pool: {name: conformance_slots, slots: 3}
  - trigger
  - wait_task: {task: three, state: success}
  - wait_task: {task: two, state: success}
  - wait_task: {task: one, state: success}
  - settle: {seconds: 3}
  - note_states
  - pool: {name: conformance_slots, slots: 4}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("pool_slots", schedule=None, default_args={"pool": "conformance_slots"}):
    for name, slots in {"one": 1, "two": 2, "three": 3, "four": 4}.items():
        PythonOperator(task_id=name, python_callable=print, pool_slots=slots)
