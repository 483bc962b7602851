"""A cron expression that is none is an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("bad_cron", schedule="every full moon"):
    EmptyOperator(task_id="a")
