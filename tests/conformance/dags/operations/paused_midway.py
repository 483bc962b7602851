"""Pausing in mid-run: what runs goes on, what is next waits.

scenario:
  - trigger
  - wait_journal: {lines: 1}
  - pause
  - wait_task: {task: first, state: success}
  - settle: {seconds: 4}
  - note_states
  - unpause
  - wait
"""

import time

from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("paused_midway", schedule=None):

    @task
    def first() -> None:
        note("paused_midway", "began")
        time.sleep(4)

    @task
    def second() -> None: ...

    first() >> second()
