"""Clearing a running task restarts it; what it was doing is stopped.

options:
  mismatch: true

scenario:
  - trigger
  - wait_journal: {lines: 1}
  - clear: {tasks: [works]}
  - wait
"""

import time

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG("clear_running", schedule=None):

    @task
    def works() -> int:
        number = get_current_context()["ti"].try_number
        note("clear_running", "began", try_number=number)
        if number == 1:
            time.sleep(60)
            note("clear_running", "slept to the end")
        return number

    works()
