"""An asset's event triggers the DAGs that are scheduled on it; several outlets, one event each.

options:
  dags: [asset_schedule, asset_schedule_one, asset_schedule_two]
scenario:
  - trigger
  - wait: {count: 3}
  - settle: {seconds: 3}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, get_current_context, task

ONE, TWO = (
    Asset("x-conformance://asset_schedule/one"),
    Asset(name="asset schedule two", uri="x-conformance://asset_schedule/two"),
)

with DAG("asset_schedule", schedule=None):
    EmptyOperator(task_id="makes", outlets=[ONE, TWO])


@task
def look() -> dict:
    context = get_current_context()
    run = context["dag_run"]
    return {
        "run_type": str(run.run_type),
        "logical_date": run.logical_date,
        "ds": "ds" in context,
        "interval": [run.data_interval_start, run.data_interval_end],
        "consumed": sorted(event.source_task_id for event in run.consumed_asset_events),
        "events": sorted([asset.uri, len(events)] for asset, events in context["triggering_asset_events"].items()),
    }


with DAG("asset_schedule_one", schedule=[ONE]):
    look()

with DAG("asset_schedule_two", schedule=TWO):
    look()
