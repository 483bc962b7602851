"""Marking task instances: success, failed and skipped, in a finished run, with up- and downstream.

scenario:
  - trigger
  - wait
  - mark: {task: b, state: success}
  - wait
  - note_states
  - mark: {task: c, state: failed}
  - wait
  - note_states
  - mark: {task: d, state: skipped}
  - wait
  - note_states
  - mark: {task: b, state: failed, downstream: true}
  - wait
  - note_states
  - mark: {task: c, state: success, upstream: true, downstream: true}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("mark_tasks", schedule=None):
    a = PythonOperator(task_id="a", python_callable=print)
    b = PythonOperator(task_id="b", python_callable=fail)
    c, d = (PythonOperator(task_id=name, python_callable=print) for name in "cd")
    a >> b >> c >> d
