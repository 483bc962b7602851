"""inlet_events: earlier events of an inlet, newest last, by index and by slice.

options:
  dags: [asset_inlets_source, asset_inlets]
scenario:
  - trigger: {dag: asset_inlets_source}
  - wait
  - trigger: {dag: asset_inlets_source}
  - wait
  - trigger: {dag: asset_inlets}
  - wait
"""

from airflow.sdk import DAG, Asset, get_current_context, task

A = Asset("x-conformance://asset_inlets/a")

with DAG("asset_inlets_source", schedule=None):

    @task(outlets=[A])
    def makes() -> None:
        context = get_current_context()
        context["outlet_events"][A].extra = {"from": context["run_id"]}

    makes()

with DAG("asset_inlets", schedule=None):

    @task(inlets=[A])
    def look() -> dict:
        events = get_current_context()["inlet_events"][A]
        return {
            "len": len(events),
            "last": events[-1].extra,
            "first": events[0].extra,
            "all": [event.extra["from"] for event in events],
            "source": [events[-1].source_dag_id, events[-1].source_task_id, events[-1].source_run_id],
        }

    look()
