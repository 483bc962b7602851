"""expand over more than max_map_length: the task that pushes the list fails."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("map_too_long", schedule=None):

    @task
    def numbers() -> list[int]:
        return list(range(1025))

    @task
    def show(number: int) -> int:
        return number

    show.expand(number=numbers()) >> EmptyOperator(task_id="after")
