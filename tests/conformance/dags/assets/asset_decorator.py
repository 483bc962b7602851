"""@asset and @asset.multi: DAGs that make assets, scheduled on one another.

options:
  dags: [asset_decorator_first, asset_decorator_second, asset_decorator_multi]
scenario:
  - trigger: {dag: asset_decorator_first}
  - wait: {dag: asset_decorator_second, count: 1}
  - wait: {dag: asset_decorator_multi, count: 1}
"""

from airflow.sdk import Asset, asset


@asset(uri="x-conformance://asset_decorator/first", schedule=None)
def asset_decorator_first() -> dict:
    return {"made": "first"}


@asset(uri="x-conformance://asset_decorator/second", schedule=asset_decorator_first)
def asset_decorator_second(asset_decorator_first, self, context) -> dict:
    return {"self": self.uri, "from": asset_decorator_first.uri}


@asset.multi(
    schedule=asset_decorator_first,
    outlets=[Asset("x-conformance://asset_decorator/a"), Asset("x-conformance://asset_decorator/b")],
)
def asset_decorator_multi(context) -> int:
    return 2
