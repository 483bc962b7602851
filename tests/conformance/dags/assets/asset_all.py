"""A schedule of two assets (a list, and `&`): a run when both have an event; the first one's two events are both consumed.

options:
  dags: [asset_all_a, asset_all_b, asset_all_list, asset_all_and]
scenario:
  - trigger: {dag: asset_all_a}
  - wait: {dag: asset_all_a}
  - trigger: {dag: asset_all_a}
  - wait: {dag: asset_all_a}
  - settle: {seconds: 3}
  - trigger: {dag: asset_all_b}
  - wait: {dag: asset_all_b}
  - wait: {dag: asset_all_list, count: 1}
  - wait: {dag: asset_all_and, count: 1}
  - settle: {seconds: 2}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, get_current_context, task

A, B = Asset("x-conformance://asset_all/a"), Asset("x-conformance://asset_all/b")

with DAG("asset_all_a", schedule=None):
    EmptyOperator(task_id="makes", outlets=[A])
with DAG("asset_all_b", schedule=None):
    EmptyOperator(task_id="makes", outlets=[B])


@task
def look() -> dict:
    events = get_current_context()["triggering_asset_events"]
    return {asset.uri: sorted(event.source_run_id for event in found) for asset, found in events.items()}


with DAG("asset_all_list", schedule=[A, B]):
    look()
with DAG("asset_all_and", schedule=A & B):
    look()
