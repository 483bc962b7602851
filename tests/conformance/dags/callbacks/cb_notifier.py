"""Notifiers as callbacks, with templates, at task and DAG level.

scenario:
  - trigger
  - wait
  - wait_journal: {lines: 3}
  - settle: {seconds: 2}
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseNotifier
from conformance_tools import fail, note


class Tell(BaseNotifier):
    template_fields = ("message",)

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def notify(self, context) -> None:
        note("cb_notifier", "notified", message=self.message)


with DAG("cb_notifier", schedule=None, on_failure_callback=Tell("{{ dag.dag_id }} failed in {{ run_id }}")):
    PythonOperator(task_id="good", python_callable=print, on_success_callback=Tell("{{ ti.task_id }} on {{ ds }}"))
    PythonOperator(task_id="bad", python_callable=fail, on_failure_callback=[Tell("{{ ti.task_id }}: {{ exception }}")])
