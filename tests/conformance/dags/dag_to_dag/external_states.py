"""ExternalTaskSensor on failed and skipped tasks: allowed, failed and skipped states.

options:
  dags: [external_states, external_states_source]
scenario:
  - trigger: {dag: external_states_source, run_id: source, logical_date: "2026-01-01T00:00:00Z"}
  - wait: {dag: external_states_source}
  - trigger: {dag: external_states, run_id: run_1, logical_date: "2026-01-01T00:00:00Z"}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG
from conformance_tools import fail, skip

with DAG("external_states_source", schedule=None):
    PythonOperator(task_id="fails", python_callable=fail)
    PythonOperator(task_id="skips", python_callable=skip)

OPTIONS = {"external_dag_id": "external_states_source", "poke_interval": 0.5, "timeout": 3}

with DAG("external_states", schedule=None):
    ExternalTaskSensor(task_id="waits_for_failed", external_task_id="fails", **OPTIONS)
    ExternalTaskSensor(task_id="failed_fails", external_task_id="fails", failed_states=["failed"], **OPTIONS)
    ExternalTaskSensor(
        task_id="failed_allowed", external_task_id="fails", allowed_states=["failed", "success"], **OPTIONS
    )
    ExternalTaskSensor(task_id="failed_skips", external_task_id="fails", skipped_states=["failed"], **OPTIONS)
    ExternalTaskSensor(
        task_id="failed_soft", external_task_id="fails", failed_states=["failed"], soft_fail=True, **OPTIONS
    )
    ExternalTaskSensor(task_id="skipped_allowed", external_task_id="skips", allowed_states=["skipped"], **OPTIONS)
    ExternalTaskSensor(task_id="run_fails", failed_states=["failed"], **OPTIONS)
    ExternalTaskSensor(task_id="run_fails_deferred", failed_states=["failed"], deferrable=True, **OPTIONS)
