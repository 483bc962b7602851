"""Callbacks when a running task is marked failed or success, and when a run is marked.

scenario:
  - trigger
  - wait_journal: {lines: 2}
  - mark: {task: marked_failed, state: failed}
  - mark: {task: marked_success, state: success}
  - wait
  - settle: {seconds: 12}
"""

import time

from airflow.sdk import DAG, task
from conformance_tools import note


def on(kind: str):
    return lambda context: note("cb_marked", kind, task=context["ti"].task_id)


with DAG(
    "cb_marked",
    schedule=None,
    default_args={"on_success_callback": on("success"), "on_failure_callback": on("failure")},
):

    @task
    def marked_failed() -> None:
        note("cb_marked", "began")
        time.sleep(60)

    @task
    def marked_success() -> None:
        note("cb_marked", "began")
        time.sleep(60)

    marked_failed()
    marked_success()
