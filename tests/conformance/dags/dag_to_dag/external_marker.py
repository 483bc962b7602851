"""ExternalTaskMarker: clearing with downstream goes on into the other DAG.

options:
  dags: [external_marker, external_marker_child]
scenario:
  - trigger: {dag: external_marker, run_id: parent, logical_date: "2026-01-01T00:00:00Z"}
  - trigger: {dag: external_marker_child, run_id: child, logical_date: "2026-01-01T00:00:00Z"}
  - wait
  - clear: {dag: external_marker, run_id: parent, tasks: [a], downstream: true, dry_run: true}
  - clear: {dag: external_marker, run_id: parent, tasks: [a], downstream: true}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.sdk import DAG

with DAG("external_marker", schedule=None):
    PythonOperator(task_id="a", python_callable=print) >> ExternalTaskMarker(
        task_id="marker", external_dag_id="external_marker_child", external_task_id="sensor"
    )

with DAG("external_marker_child", schedule=None):
    ExternalTaskSensor(
        task_id="sensor", external_dag_id="external_marker", external_task_id="marker", poke_interval=1, timeout=60
    ) >> PythonOperator(task_id="b", python_callable=print)
