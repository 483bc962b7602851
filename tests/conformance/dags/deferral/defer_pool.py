"""A pool of one slot with include_deferred: the second task starts after the first is done; without: while it is deferred.

scenario:
  - pool: {name: conformance_defer_counts, slots: 1, include_deferred: true}
  - pool: {name: conformance_defer_free, slots: 1, include_deferred: false}
  - trigger
  - wait
"""

from airflow.sdk import DAG, BaseOperator
from conformance_tools import note


class Wait(BaseOperator):
    def execute(self, context):
        from conformance_triggers import Echo

        self.defer(trigger=Echo("done", 4), method_name="resume")

    def resume(self, context, event):
        return event


class Look(BaseOperator):
    def execute(self, context):
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[context["run_id"]])
        other = states[context["run_id"]][self.task_id.replace("look", "wait")]
        note("defer_pool", self.task_id, other=str(other))


with DAG("defer_pool", schedule=None):
    for pool in ("counts", "free"):
        Wait(task_id=f"wait_{pool}", pool=f"conformance_defer_{pool}", priority_weight=10)
        Look(task_id=f"look_{pool}", pool=f"conformance_defer_{pool}")
