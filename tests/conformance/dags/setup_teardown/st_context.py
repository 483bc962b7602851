"""A teardown as a context manager wires the tasks inside to both."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("st_context", schedule=None):
    before, after = EmptyOperator(task_id="before"), EmptyOperator(task_id="after")
    up = PythonOperator(task_id="up", python_callable=print)
    down = PythonOperator(task_id="down", python_callable=print)
    with down.as_teardown(setups=up) as scope:
        a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
        a >> b
        scope.add_task(EmptyOperator(task_id="c"))
    before >> up
    b >> after
