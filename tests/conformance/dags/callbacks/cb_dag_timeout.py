"""dagrun_timeout: the run fails, its tasks are skipped, the failure callback is told.

scenario:
  - trigger
  - wait
  - wait_journal: {lines: 1}
  - settle: {seconds: 3}
"""

import time
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_tools import note


def failed(context) -> None:
    note("cb_dag_timeout", "failure", reason=context.get("reason"))


with DAG("cb_dag_timeout", schedule=None, dagrun_timeout=timedelta(seconds=4), on_failure_callback=failed):

    @task
    def long() -> None:
        time.sleep(40)

    long() >> EmptyOperator(task_id="below")
