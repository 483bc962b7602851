"""A scheduled DAG whose param has no valid default is an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

with DAG(
    "params_broken_default",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    params={"size": Param("three", type="integer")},
):
    EmptyOperator(task_id="a")
