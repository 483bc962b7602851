"""EmptyOperator with a callback runs on a worker; without, it does not.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from conformance_tools import note


def on_success(context) -> None:
    note("cb_empty", "success", task=context["ti"].task_id)


def on_execute(context) -> None:
    note("cb_empty", "execute", task=context["ti"].task_id)


with DAG("cb_empty", schedule=None):
    EmptyOperator(task_id="success", on_success_callback=on_success)
    EmptyOperator(task_id="execute", on_execute_callback=on_execute)
    EmptyOperator(task_id="plain")
