"""`|`, and `|` within `&`: which events make a run.

options:
  dags: [asset_any_a, asset_any_b, asset_any_c, asset_any_or, asset_any_mixed]
scenario:
  - trigger: {dag: asset_any_a}
  - wait: {dag: asset_any_a}
  - wait: {dag: asset_any_or, count: 1}
  - trigger: {dag: asset_any_b}
  - wait: {dag: asset_any_b}
  - wait: {dag: asset_any_or, count: 2}
  - settle: {seconds: 3}
  - trigger: {dag: asset_any_c}
  - wait: {dag: asset_any_c}
  - wait: {dag: asset_any_mixed, count: 1}
  - settle: {seconds: 2}
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

A, B, C = (Asset(f"x-conformance://asset_any/{name}") for name in "abc")

for name, asset in {"a": A, "b": B, "c": C}.items():
    with DAG(f"asset_any_{name}", schedule=None) as dag:
        EmptyOperator(task_id="makes", outlets=[asset])
    globals()[dag.dag_id] = dag

with DAG("asset_any_or", schedule=(A | B)):
    EmptyOperator(task_id="end")
with DAG("asset_any_mixed", schedule=((A | B) & C)):
    EmptyOperator(task_id="end")
