"""Only leaves decide about a run: a failure whose downstream recovers is forgiven.

options:
  dags: [leaf_forgiven, leaf_not_forgiven]
scenario:
  - trigger: {dag: leaf_forgiven}
  - trigger: {dag: leaf_not_forgiven}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("leaf_forgiven", schedule=None):
    PythonOperator(task_id="fails", python_callable=fail) >> EmptyOperator(task_id="recovers", trigger_rule="all_done")

with DAG("leaf_not_forgiven", schedule=None):
    failing = PythonOperator(task_id="fails", python_callable=fail)
    failing >> EmptyOperator(task_id="recovers", trigger_rule="all_done")
    failing >> EmptyOperator(task_id="does_not")
