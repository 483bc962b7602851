"""XComArg.map: transforms before expansion; one that raises a skip filters its index out, one that fails fails it."""

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException


def only_odd(number: int) -> int:
    if number % 2 == 0:
        raise AirflowSkipException("even")
    return number


def breaks(number: int) -> float:
    return 1 / (number - 2)


with DAG("map_function", schedule=None):

    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    def show(value: object) -> str:
        return f"<{value}>"

    made = numbers()
    show.override(task_id="once").expand(value=made.map(lambda number: number * 2))
    show.override(task_id="twice").expand(value=made.map(lambda number: number * 2).map(lambda number: str(number)))
    show.override(task_id="filtered").expand(value=made.map(only_odd))
    show.override(task_id="broken").expand(value=made.map(breaks))
