"""Extra of asset events: by outlet_events, by a yielded or returned Metadata, of mapped tasks.

options:
  dags: [asset_extra, asset_extra_seen]
scenario:
  - trigger
  - wait: {dag: asset_extra}
  - wait: {dag: asset_extra_seen, count: 1}
"""

from airflow.sdk import DAG, Asset, Metadata, get_current_context, task

A, B, C = (Asset(f"x-conformance://asset_extra/{name}") for name in "abc")

with DAG("asset_extra", schedule=None):

    @task(outlets=[A])
    def by_outlet_events() -> None:
        get_current_context()["outlet_events"][A].extra = {"rows": 3, "nested": {"a": [1, None]}}

    @task(outlets=[B])
    def by_metadata():
        yield Metadata(B, {"rows": 4})

    @task(outlets=[C])
    def mapped(number: int) -> int:
        get_current_context()["outlet_events"][C].extra = {"number": number}
        return number

    mapped.expand(number=[1, 2]) >> by_metadata() >> by_outlet_events()

with DAG("asset_extra_seen", schedule=[A, B, C]):

    @task
    def look() -> dict:
        events = get_current_context()["triggering_asset_events"]
        return {asset.uri: sorted([dict(event.extra) for event in found], key=str) for asset, found in events.items()}

    look()
