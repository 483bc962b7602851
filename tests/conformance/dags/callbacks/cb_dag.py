"""DAG callbacks of success and failure: once a run, with the reason.

options:
  dags: [cb_dag_success, cb_dag_failure]
scenario:
  - trigger: {dag: cb_dag_success}
  - trigger: {dag: cb_dag_failure}
  - wait
  - wait_journal: {lines: 2}
  - settle: {seconds: 3}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail, note


def on(kind: str):
    def call(context) -> None:
        note("cb_dag", kind, dag=context["dag"].dag_id, run_id=context["run_id"], reason=context.get("reason"))

    return call


CALLBACKS = {"on_success_callback": on("success"), "on_failure_callback": on("failure")}

with DAG("cb_dag_success", schedule=None, **CALLBACKS):
    PythonOperator(task_id="works", python_callable=print)

with DAG("cb_dag_failure", schedule=None, **CALLBACKS):
    PythonOperator(task_id="fails", python_callable=fail) >> EmptyOperator(task_id="below")
