"""Datasets under their old name are assets; Model and Dataset are assets of a group; a name and a URI are looked up apart.

options:
  dags: [asset_renamed, asset_renamed_seen]
scenario:
  - trigger
  - wait: {dag: asset_renamed}
  - wait: {dag: asset_renamed_seen, count: 1}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset
from airflow.sdk.definitions.asset import Dataset, Model

OLD, MODEL, NAMED = (
    Dataset("x-conformance://asset_renamed/old"),
    Model(name="asset_renamed_model", uri="x-conformance://asset_renamed/model"),
    Asset(name="asset_renamed_name", uri="x-conformance://asset_renamed/named", group="own", extra={"of": "asset"}),
)

with DAG("asset_renamed", schedule=None):
    EmptyOperator(task_id="makes", outlets=[OLD, MODEL, NAMED])

with DAG(
    "asset_renamed_seen",
    schedule=[Asset.ref(name="asset_renamed_name"), Asset.ref(uri="x-conformance://asset_renamed/old")],
):
    EmptyOperator(task_id="end")
