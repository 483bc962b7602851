"""Clearing and marking deferred tasks ends their deferral.

scenario:
  - trigger
  - wait_task: {task: cleared, state: deferred}
  - wait_task: {task: marked, state: deferred}
  - settle: {seconds: 2}
  - mark: {task: marked, state: success}
  - clear: {tasks: [cleared]}
  - wait
"""

from airflow.sdk import DAG, BaseOperator
from conformance_tools import count


class Wait(BaseOperator):
    def execute(self, context):
        from conformance_triggers import Echo

        seconds = 60 if count("defer_clear", self.task_id) == 1 else 1
        self.defer(trigger=Echo("done", seconds), method_name="resume")

    def resume(self, context, event):
        return event


with DAG("defer_clear", schedule=None):
    Wait(task_id="cleared")
    Wait(task_id="marked")
