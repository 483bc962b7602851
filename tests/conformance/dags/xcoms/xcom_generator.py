"""A task that yields: its values are gathered; a lambda; a task that returns an iterator."""

from airflow.sdk import DAG, task

with DAG("xcom_generator", schedule=None):

    @task
    def yields():
        yield 1
        yield 2

    @task
    def show(values) -> str:
        return f"{type(values).__name__} {values}"

    show(yields())
