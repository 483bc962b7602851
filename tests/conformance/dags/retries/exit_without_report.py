"""A task process that ends with code 0 before it reports has failed.

options:
  mismatch: true
"""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("exit_without_report", schedule=None):

    @task
    def leaves() -> str:
        os._exit(0)

    leaves() >> EmptyOperator(task_id="after")
