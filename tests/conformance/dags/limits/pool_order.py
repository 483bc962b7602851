"""A pool of one slot: the highest priority weight first, then by order of the weights.

options:
  start_order: true
scenario:
  - pool: {name: conformance_order, slots: 0}
  - trigger
  - wait_task: {task: low, state: scheduled}
  - settle: {seconds: 1}
  - pool: {name: conformance_order, slots: 1}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("pool_order", schedule=None, default_args={"pool": "conformance_order", "weight_rule": "absolute"}):
    for name, weight in {"low": 1, "high": 100, "middle": 50, "negative": -5}.items():
        PythonOperator(task_id=name, python_callable=print, priority_weight=weight)
