"""A plugin of the plugins folder: macros in templates, listeners that hear of task instances."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def fail() -> None:
    raise ValueError("no luck")


with DAG("plugins", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    BashOperator(task_id="macro", bash_command="echo {{ macros.house.shout(dag.dag_id) }}")
    PythonOperator(task_id="fails", python_callable=fail)
