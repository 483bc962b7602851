"""Asset events made by hand, with extra; and a materialization.

options:
  dags: [asset_by_hand, asset_by_hand_source]
scenario:
  - asset_event: {uri: "x-conformance://asset_by_hand/a", extra: {who: me}}
  - wait: {dag: asset_by_hand, count: 1}
  - materialize: {uri: "x-conformance://asset_by_hand/a"}
  - wait: {dag: asset_by_hand_source, count: 1}
  - wait: {dag: asset_by_hand, count: 2}
"""

from airflow.sdk import DAG, Asset, get_current_context, task

A = Asset("x-conformance://asset_by_hand/a")

with DAG("asset_by_hand", schedule=[A]):

    @task
    def look() -> list:
        return [event.extra for events in get_current_context()["triggering_asset_events"].values() for event in events]

    look()

with DAG("asset_by_hand_source", schedule=None):

    @task(outlets=[A])
    def makes() -> str:
        return str(get_current_context()["dag_run"].run_type)

    makes()
