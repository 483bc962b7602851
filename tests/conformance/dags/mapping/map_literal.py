"""expand over a list that stands in the file."""

from airflow.sdk import DAG, task

with DAG("map_literal", schedule=None):

    @task
    def square(number: int) -> int:
        return number * number

    square.expand(number=[3, 1, 2])
