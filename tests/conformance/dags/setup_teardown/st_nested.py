"""Setups in setups: an inner work fails, both teardowns run, inner first."""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail, note


def run(name: str) -> None:
    note("st_nested", name)


def step(name: str) -> PythonOperator:
    return PythonOperator(task_id=name, python_callable=run, op_args=[name])


with DAG("st_nested", schedule=None):
    outer_up, inner_up, outer_down, inner_down = (
        step("outer_up"),
        step("inner_up"),
        step("outer_down"),
        step("inner_down"),
    )
    inner_work = PythonOperator(task_id="inner_work", python_callable=fail)
    outer_work = step("outer_work")
    outer_up >> outer_work >> inner_up >> inner_work >> inner_down >> outer_down
    outer_down.as_teardown(setups=outer_up)
    inner_down.as_teardown(setups=inner_up)
