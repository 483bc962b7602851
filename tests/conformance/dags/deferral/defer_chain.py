"""An operator that defers three times, method by method, with kwargs and events."""

from airflow.sdk import DAG, BaseOperator
from conformance_tools import note


class Chain(BaseOperator):
    def execute(self, context):
        from conformance_triggers import Echo

        note("defer_chain", "execute", try_number=context["ti"].try_number)
        context["ti"].xcom_push(key="before", value="kept")
        self.defer(trigger=Echo({"step": 1}), method_name="second", kwargs={"seen": ["execute"]})

    def second(self, context, event, seen):
        from conformance_triggers import Echo

        note("defer_chain", "second", got=event, try_number=context["ti"].try_number)
        self.defer(trigger=Echo([1, "two", None]), method_name="third", kwargs={"seen": [*seen, event]})

    def third(self, context, event, seen):
        note("defer_chain", "third", got=event, try_number=context["ti"].try_number)
        return [*seen, event, context["ti"].xcom_pull(task_ids=self.task_id, key="before")]


with DAG("defer_chain", schedule=None):
    Chain(task_id="chain")
