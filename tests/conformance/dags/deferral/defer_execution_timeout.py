"""execution_timeout with a deferral: it bounds each stretch on a worker."""

import time
from datetime import timedelta

from airflow.sdk import DAG, BaseOperator


class Resumes(BaseOperator):
    def __init__(self, *, seconds: float, **more) -> None:
        super().__init__(**more)
        self.seconds = seconds

    def execute(self, context):
        from conformance_triggers import Echo

        self.defer(trigger=Echo("go", 2), method_name="resume")

    def resume(self, context, event):
        time.sleep(self.seconds)
        return event


with DAG("defer_execution_timeout", schedule=None):
    Resumes(task_id="long_resume", seconds=30, execution_timeout=timedelta(seconds=4))
    Resumes(task_id="short_resume", seconds=0, execution_timeout=timedelta(seconds=20))
