"""An unknown trigger rule is an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("rule_unknown", schedule=None):
    EmptyOperator(task_id="lost", trigger_rule="when_the_moon_is_full")
