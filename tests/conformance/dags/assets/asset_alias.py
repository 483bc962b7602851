"""An asset alias: events are added while the task runs; a DAG scheduled on the alias, and one on the asset.

options:
  dags: [asset_alias, asset_alias_by_alias, asset_alias_by_asset, asset_alias_unused]
scenario:
  - trigger
  - wait: {dag: asset_alias}
  - wait: {dag: asset_alias_by_alias, count: 1}
  - wait: {dag: asset_alias_by_asset, count: 1}
  - settle: {seconds: 3}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, Metadata, get_current_context, task

ALIAS = AssetAlias("asset-alias-conformance")
UNUSED = AssetAlias("asset-alias-unused-conformance")
OTHER = AssetAlias("asset-alias-other-conformance")
ONE = Asset("x-conformance://asset_alias/one")

with DAG("asset_alias", schedule=None):

    @task(outlets=[ALIAS, UNUSED])
    def adds() -> None:
        get_current_context()["outlet_events"][ALIAS].add(ONE, extra={"by": "add"})

    @task(outlets=[OTHER])
    def yields():
        yield Metadata(Asset("x-conformance://asset_alias/two"), extra={"by": "metadata"}, alias=OTHER)

    yields() >> adds()

with DAG("asset_alias_by_alias", schedule=[ALIAS]):
    EmptyOperator(task_id="end")
with DAG("asset_alias_by_asset", schedule=[ONE]):
    EmptyOperator(task_id="end")
with DAG("asset_alias_unused", schedule=[UNUSED]):
    EmptyOperator(task_id="end")
