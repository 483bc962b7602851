"""fail_fast allows only the default trigger rule: another one is an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("fail_fast_rule", schedule=None, fail_fast=True):
    EmptyOperator(task_id="a", trigger_rule="all_done")
