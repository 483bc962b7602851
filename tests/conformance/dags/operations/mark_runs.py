"""Marking whole runs: success and failed, while tasks run and after.

scenario:
  - trigger
  - trigger
  - wait_journal: {lines: 2}
  - mark_run: {run_id: run_1, state: success}
  - mark_run: {run_id: run_2, state: failed}
  - wait
  - settle: {seconds: 2}
  - note_states: {run_id: run_1}
  - note_states: {run_id: run_2}
  - mark_run: {run_id: run_1, state: failed}
  - mark_run: {run_id: run_2, state: success}
  - wait
"""

import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_tools import note

with DAG("mark_runs", schedule=None):

    @task
    def long() -> None:
        note("mark_runs", "began")
        time.sleep(60)

    EmptyOperator(task_id="before") >> long() >> EmptyOperator(task_id="after")
