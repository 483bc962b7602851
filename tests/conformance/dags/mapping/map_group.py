"""A mapped task group: every task in it once for each index, chained by index."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

with DAG("map_group", schedule=None):

    @task_group
    def group(number: int) -> int:
        @task
        def double(value: int) -> int:
            return value * 2

        @task
        def label(value: int) -> str:
            return f"label {value}"

        empty = EmptyOperator(task_id="empty")
        doubled = double(number)
        doubled >> empty
        return label(doubled)

    @task
    def join(labels: list[str]) -> str:
        return "|".join(labels)

    @task
    def numbers() -> list[int]:
        return [4, 5]

    group_of = group.expand(number=numbers())
    join(group_of)
