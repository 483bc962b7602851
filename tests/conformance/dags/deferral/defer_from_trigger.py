"""start_from_trigger: the task begins in the triggerer; with templates, mapped, and with a resumed method."""

from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs


class Begin(BaseOperator):
    template_fields = ("payload",)
    start_from_trigger = True

    def __init__(self, *, payload: Any, **more: Any) -> None:
        super().__init__(**more)
        self.payload = payload
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="conformance_triggers.Echo",
            trigger_kwargs={"payload": payload, "seconds": 1.0},
            next_method="resume",
            next_kwargs=None,
            timeout=None,
        )

    def execute(self, context):
        raise RuntimeError("never called")

    def resume(self, context, event):
        return {"got": event, "try": context["ti"].try_number}


with DAG("defer_from_trigger", schedule=None):
    Begin(task_id="plain", payload="plain")
    Begin(task_id="templated", payload="{{ ds }}")
