"""A teardown waits for all tasks between it and its setup, not only its direct upstream."""

import time

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import note


def run(name: str, seconds: float = 0) -> None:
    time.sleep(seconds)
    note("st_between", name)


with DAG("st_between", schedule=None):
    up = PythonOperator(task_id="up", python_callable=print).as_setup()
    quick = PythonOperator(task_id="quick", python_callable=run, op_args=["quick"])
    slow = PythonOperator(task_id="slow", python_callable=run, op_args=["slow", 3])
    slower = PythonOperator(task_id="slower", python_callable=run, op_args=["slower", 1])
    down = PythonOperator(task_id="down", python_callable=run, op_args=["down"]).as_teardown(setups=up)
    up >> quick >> down
    up >> slow >> slower >> down
