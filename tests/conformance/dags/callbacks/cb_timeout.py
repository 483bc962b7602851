"""Failure callbacks for a timeout, for AirflowFailException, and for a killed process.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

import os
import signal
import time
from datetime import timedelta

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException
from conformance_tools import note


def failed(context) -> None:
    error = context.get("exception")
    note("cb_timeout", "failure", task=context["ti"].task_id, error=type(error).__name__)


with DAG("cb_timeout", schedule=None, default_args={"on_failure_callback": failed}):

    @task(execution_timeout=timedelta(seconds=1))
    def times_out() -> None:
        time.sleep(30)

    @task(retries=3)
    def fails_for_good() -> None:
        raise AirflowFailException("for good")

    @task
    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    times_out()
    fails_for_good()
    killed()
