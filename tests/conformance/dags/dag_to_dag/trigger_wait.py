"""TriggerDagRunOperator that waits, in its slot and deferred: for a success and for a failure.

options:
  dags: [trigger_wait, trigger_wait_good, trigger_wait_bad]
  patience: 120
scenario:
  - trigger
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("trigger_wait", schedule=None):
    for target in ("good", "bad"):
        for deferrable in (False, True):
            mode = "deferred" if deferrable else "waits"
            TriggerDagRunOperator(
                task_id=f"{target}_{mode}",
                trigger_dag_id=f"trigger_wait_{target}",
                trigger_run_id=f"{mode}_{{{{ run_id }}}}",
                logical_date=None,
                wait_for_completion=True,
                poke_interval=1,
                deferrable=deferrable,
            )
    TriggerDagRunOperator(
        task_id="bad_allowed",
        trigger_dag_id="trigger_wait_bad",
        trigger_run_id="allowed_{{ run_id }}",
        logical_date=None,
        wait_for_completion=True,
        poke_interval=1,
        allowed_states=["success", "failed"],
        failed_states=[],
    )

with DAG("trigger_wait_good", schedule=None):
    PythonOperator(task_id="act", python_callable=print)
with DAG("trigger_wait_bad", schedule=None):
    PythonOperator(task_id="act", python_callable=fail)
