"""Only a success makes an event: failed and skipped tasks do not; an empty task with an outlet does.

options:
  dags: [asset_states, asset_states_seen]
scenario:
  - trigger
  - wait: {dag: asset_states}
  - settle: {seconds: 3}
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, get_current_context, task
from conformance_tools import fail, skip

FAILED, SKIPPED, RETRIED, EMPTY = (
    Asset(f"x-conformance://asset_states/{name}") for name in ("failed", "skipped", "retried", "empty")
)

with DAG("asset_states", schedule=None):
    PythonOperator(task_id="fails", python_callable=fail, outlets=[FAILED])
    PythonOperator(task_id="skips", python_callable=skip, outlets=[SKIPPED])
    EmptyOperator(task_id="empty", outlets=[EMPTY])

    @task(outlets=[RETRIED], retries=1, retry_delay=timedelta(seconds=0.3))
    def retried() -> None:
        if get_current_context()["ti"].try_number == 1:
            raise ValueError("once")

    retried()

with DAG("asset_states_seen", schedule=(FAILED | SKIPPED)):
    EmptyOperator(task_id="end")
