"""Events while the DAG is paused are kept for it.

options:
  dags: [asset_paused_source, asset_paused]
  unpause: [asset_paused_source]
scenario:
  - trigger: {dag: asset_paused_source}
  - wait: {dag: asset_paused_source}
  - settle: {seconds: 2}
  - unpause: {dag: asset_paused}
  - settle: {seconds: 3}
  - trigger: {dag: asset_paused_source}
  - wait: {dag: asset_paused_source}
  - wait: {dag: asset_paused, count: 1}
  - settle: {seconds: 2}
  - pause: {dag: asset_paused}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, get_current_context, task

A = Asset("x-conformance://asset_paused/a")

with DAG("asset_paused_source", schedule=None):
    EmptyOperator(task_id="makes", outlets=[A])

with DAG("asset_paused", schedule=[A]):

    @task
    def look() -> list:
        found = get_current_context()["triggering_asset_events"].values()
        return sorted(event.source_run_id for events in found for event in events)

    look()
