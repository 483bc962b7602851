"""execution_timeout: fails, is tried again, calls on_kill; and code that swallows the exception."""

import time
from datetime import timedelta

from airflow.sdk import DAG, BaseOperator, task
from conformance_tools import note


class Killable(BaseOperator):
    def execute(self, context):
        time.sleep(30)

    def on_kill(self):
        note("execution_timeout", "on_kill")


with DAG("execution_timeout", schedule=None, default_args={"execution_timeout": timedelta(seconds=1)}):

    @task
    def plain() -> None:
        time.sleep(30)

    @task(retries=1, retry_delay=timedelta(seconds=0.3))
    def again() -> None:
        time.sleep(30)

    @task
    def swallows() -> str:
        try:
            time.sleep(30)
        except BaseException:  # noqa: BLE001
            pass
        return "went on"

    @task
    def quick() -> str:
        return "in time"

    plain()
    again()
    swallows()
    quick()
    Killable(task_id="killable")
