"""Clearing a task with retries gives it all of them again.

scenario:
  - trigger
  - wait
  - clear: {tasks: [fails]}
  - wait
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG("clear_retries", schedule=None):

    @task(retries=1, retry_delay=timedelta(seconds=0.3))
    def fails() -> None:
        ti = get_current_context()["ti"]
        note("clear_retries", "try", try_number=ti.try_number, max_tries=ti.max_tries)
        raise ValueError("always")

    fails()
