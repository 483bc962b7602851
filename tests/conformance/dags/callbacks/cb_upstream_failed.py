"""No callback for upstream_failed, for skips by rule or by branch, nor for a task marked by hand but failure.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task
from conformance_tools import fail, note


def on(kind: str):
    return lambda context: note("cb_upstream_failed", kind, task=context["ti"].task_id)


CALLBACKS = {f"on_{kind}_callback": on(kind) for kind in ("success", "failure", "skipped")}

with DAG("cb_upstream_failed", schedule=None, default_args=CALLBACKS):

    @task.branch
    def choose() -> str:
        return "chosen"

    chosen = PythonOperator(task_id="chosen", python_callable=print)
    not_chosen = PythonOperator(task_id="not_chosen", python_callable=print)
    failing = PythonOperator(task_id="failing", python_callable=fail)
    choose() >> [chosen, not_chosen]
    failing >> PythonOperator(task_id="below", python_callable=print)
