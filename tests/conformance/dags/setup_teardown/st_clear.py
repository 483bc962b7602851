"""Clearing work clears its setup and its teardown too.

scenario:
  - trigger
  - wait
  - clear: {tasks: [work], dry_run: true}
  - clear: {tasks: [work]}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("st_clear", schedule=None):
    up = PythonOperator(task_id="up", python_callable=print).as_setup()
    work = PythonOperator(task_id="work", python_callable=print)
    down = PythonOperator(task_id="down", python_callable=print).as_teardown(setups=up)
    before = PythonOperator(task_id="before", python_callable=print)
    before >> up >> work >> down
    work >> EmptyOperator(task_id="leaf")
