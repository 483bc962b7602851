"""The resumed method fails: the next try begins with execute, and old XComs are gone."""

from datetime import timedelta

from airflow.sdk import DAG, BaseOperator
from conformance_tools import note


class Flaky(BaseOperator):
    def execute(self, context):
        from conformance_triggers import Echo

        ti = context["ti"]
        note("defer_retry", "execute", try_number=ti.try_number)
        ti.xcom_push(key=f"from_try_{ti.try_number}", value=True)
        self.defer(trigger=Echo(ti.try_number), method_name="resume")

    def resume(self, context, event):
        note("defer_retry", "resume", got=event)
        if event == 1:
            raise ValueError("the first try fails")
        return event


with DAG("defer_retry", schedule=None):
    Flaky(task_id="flaky", retries=2, retry_delay=timedelta(seconds=0.5))
