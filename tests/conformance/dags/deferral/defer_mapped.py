"""Mapped deferrable tasks: each index with its own trigger."""

from typing import Any

from airflow.sdk import DAG, BaseOperator, task


class Wait(BaseOperator):
    def __init__(self, *, payload: Any, **more) -> None:
        super().__init__(**more)
        self.payload = payload

    def execute(self, context):
        from conformance_triggers import Echo

        self.defer(trigger=Echo(self.payload), method_name="resume")

    def resume(self, context, event):
        return f"{event} at {context['ti'].map_index}"


with DAG("defer_mapped", schedule=None):

    @task
    def join(values: list[str]) -> str:
        return "|".join(values)

    join(Wait.partial(task_id="wait").expand(payload=["a", "b", "c"]).output)
