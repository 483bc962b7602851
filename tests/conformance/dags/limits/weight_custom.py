"""A priority weight strategy of its own, from a plugin; it gives more to the later tries.

scenario:
  - trigger
  - wait
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_plugin import WeightByTry
from conformance_tools import fail

with DAG("weight_custom", schedule=None):
    PythonOperator(task_id="once", python_callable=print, weight_rule=WeightByTry(), priority_weight=3)
    PythonOperator(
        task_id="twice", python_callable=fail, weight_rule=WeightByTry(), retries=1, retry_delay=timedelta(seconds=0.3)
    )
