"""A trigger that raises, one that ends in silence, one that cannot be loaded: the task fails, and is tried again."""

from datetime import timedelta

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger
from conformance_tools import note


class NotThere(BaseTrigger):
    def serialize(self):
        return "conformance_nowhere.Trigger", {}

    async def run(self):
        yield None


class On(BaseOperator):
    def __init__(self, *, which: str, **more) -> None:
        super().__init__(**more)
        self.which = which

    def execute(self, context):
        from conformance_triggers import Raises, Silent

        note("defer_raises", self.which, try_number=context["ti"].try_number)
        trigger = {"raises": Raises, "silent": Silent, "missing": NotThere}[self.which]()
        self.defer(trigger=trigger, method_name="resume")

    def resume(self, context, event=None):
        return event


with DAG("defer_raises", schedule=None):
    for which in ("raises", "silent", "missing"):
        On(task_id=which, which=which, retries=1, retry_delay=timedelta(seconds=0.5))
