"""ExternalTaskSensor with execution_delta and a date function; existence checks; a run that is not there times out.

options:
  dags: [external_dates, external_dates_source]
scenario:
  - trigger: {dag: external_dates_source, run_id: source, logical_date: "2026-01-01T00:00:00Z"}
  - wait: {dag: external_dates_source}
  - trigger: {dag: external_dates, run_id: run_1, logical_date: "2026-01-02T00:00:00Z"}
  - wait
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG

with DAG("external_dates_source", schedule=None):
    EmptyOperator(task_id="a")

OPTIONS = {"poke_interval": 0.5, "timeout": 2}


def day_before(logical_date):
    return logical_date - timedelta(days=1)


with DAG("external_dates", schedule=None):
    ExternalTaskSensor(
        task_id="delta",
        external_dag_id="external_dates_source",
        external_task_id="a",
        execution_delta=timedelta(days=1),
        **OPTIONS,
    )
    ExternalTaskSensor(
        task_id="function",
        external_dag_id="external_dates_source",
        external_task_id="a",
        execution_date_fn=day_before,
        **OPTIONS,
    )
    ExternalTaskSensor(task_id="missing", external_dag_id="external_dates_source", external_task_id="a", **OPTIONS)
    ExternalTaskSensor(
        task_id="soft", external_dag_id="external_dates_source", external_task_id="a", soft_fail=True, **OPTIONS
    )
    ExternalTaskSensor(task_id="no_dag", external_dag_id="nowhere", check_existence=True, **OPTIONS)
    ExternalTaskSensor(
        task_id="no_task",
        external_dag_id="external_dates_source",
        external_task_id="nothing",
        check_existence=True,
        **OPTIONS,
    )
