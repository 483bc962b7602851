"""A deferral that times out: failed, with retries tried again; the method is not called."""

from datetime import timedelta

from airflow.sdk import DAG, BaseOperator
from conformance_tools import note


class Slow(BaseOperator):
    def execute(self, context):
        from conformance_triggers import Echo

        note("defer_timeout", self.task_id, try_number=context["ti"].try_number)
        self.defer(trigger=Echo("late", 60), method_name="resume", timeout=timedelta(seconds=1))

    def resume(self, context, event):
        note("defer_timeout", "resumed")
        return event


with DAG("defer_timeout", schedule=None):
    Slow(task_id="once")
    Slow(task_id="twice", retries=1, retry_delay=timedelta(seconds=0.5))
