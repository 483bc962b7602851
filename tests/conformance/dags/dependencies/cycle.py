"""A cycle is an import error.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("cycle", schedule=None):
    a, b, c = (EmptyOperator(task_id=name) for name in "abc")
    a >> b >> c >> a
