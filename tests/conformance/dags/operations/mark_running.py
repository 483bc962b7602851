"""Marking running tasks: success lets the next begin, failed fails, skipped skips.

scenario:
  - trigger
  - wait_journal: {lines: 3}
  - mark: {task: becomes_success, state: success}
  - mark: {task: becomes_failed, state: failed}
  - mark: {task: becomes_skipped, state: skipped}
  - wait
"""

import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("mark_running", schedule=None):
    for state in ("success", "failed", "skipped"):

        @task(task_id=f"becomes_{state}", retries=2)
        def long(state: str) -> None:
            note("mark_running", state)
            time.sleep(60)

        long(state) >> EmptyOperator(task_id=f"after_{state}")
