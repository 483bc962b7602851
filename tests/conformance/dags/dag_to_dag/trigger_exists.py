"""TriggerDagRunOperator when the run is there already: fail, skip, reset; and an unknown DAG.

options:
  dags: [trigger_exists, trigger_exists_target]
scenario:
  - trigger: {dag: trigger_exists_target, run_id: fixed, logical_date: "2026-02-01T00:00:00Z", conf: {by: hand}}
  - wait: {dag: trigger_exists_target}
  - trigger: {dag: trigger_exists, run_id: run_1}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

OPTIONS = {
    "trigger_dag_id": "trigger_exists_target",
    "trigger_run_id": "fixed",
    "logical_date": "2026-02-01T00:00:00+00:00",
}

with DAG("trigger_exists", schedule=None):
    fails = TriggerDagRunOperator(task_id="fails", **OPTIONS)
    skips = TriggerDagRunOperator(task_id="skips", skip_when_already_exists=True, **OPTIONS)
    resets = TriggerDagRunOperator(
        task_id="resets",
        reset_dag_run=True,
        wait_for_completion=True,
        poke_interval=1,
        trigger_rule="all_done",
        **OPTIONS,
    )
    [fails, skips] >> resets
    TriggerDagRunOperator(task_id="unknown", trigger_dag_id="nowhere", logical_date=None)

with DAG("trigger_exists_target", schedule=None):
    PythonOperator(task_id="act", python_callable=print)
