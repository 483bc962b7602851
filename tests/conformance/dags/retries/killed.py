"""A task process killed by a signal: tried again while it may, then failed.

options:
  mismatch: true
"""

import os
import signal
from datetime import timedelta

from airflow.sdk import DAG, task
from conformance_tools import count

with DAG("killed", schedule=None, default_args={"retry_delay": timedelta(seconds=2)}):

    @task(retries=1)
    def once() -> str:
        if count("killed", "once") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "lived"

    @task
    def at_once() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @task(retries=1)
    def terminated() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    once()
    at_once()
    terminated()
