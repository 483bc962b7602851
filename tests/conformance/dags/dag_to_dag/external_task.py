"""ExternalTaskSensor on a task, several tasks, a group and a whole run; poke, reschedule and deferred.

options:
  dags: [external_task, external_task_source]
scenario:
  - trigger: {dag: external_task_source, run_id: source, logical_date: "2026-01-01T00:00:00Z"}
  - trigger: {dag: external_task, run_id: run_1, logical_date: "2026-01-01T00:00:00Z"}
  - wait
"""

import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, TaskGroup, task

with DAG("external_task_source", schedule=None):

    @task
    def slow() -> None:
        time.sleep(3)

    with TaskGroup("group"):
        EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
    slow() >> EmptyOperator(task_id="end")

OPTIONS = {"external_dag_id": "external_task_source", "poke_interval": 2, "timeout": 60}

with DAG("external_task", schedule=None):
    ExternalTaskSensor(task_id="one", external_task_id="slow", **OPTIONS)
    ExternalTaskSensor(task_id="several", external_task_ids=["slow", "end"], mode="reschedule", **OPTIONS)
    ExternalTaskSensor(task_id="group", external_task_group_id="group", **OPTIONS)
    ExternalTaskSensor(task_id="whole", mode="reschedule", **OPTIONS)
    ExternalTaskSensor(task_id="deferred_task", external_task_id="end", deferrable=True, **OPTIONS)
    ExternalTaskSensor(task_id="deferred_whole", deferrable=True, **OPTIONS)
