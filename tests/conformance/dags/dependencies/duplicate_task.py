"""Two tasks of one id are an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("duplicate_task", schedule=None):
    EmptyOperator(task_id="twin")
    EmptyOperator(task_id="twin")
