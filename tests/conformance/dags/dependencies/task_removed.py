"""A task that leaves the DAG while a run has it; a task that comes is added.

scenario:
  - trigger
  - wait_task: {task: hold, state: [running]}
  - edit: {replace: "first_name", by: "second_name"}
  - wait
"""

import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("task_removed", schedule=None):

    @task
    def hold() -> None:
        time.sleep(12)

    hold() >> EmptyOperator(task_id="first_name")
