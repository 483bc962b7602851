"""A mapped task group over nothing."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

with DAG("map_group_zero", schedule=None):

    @task
    def nothing() -> list[int]:
        return []

    @task_group
    def group(number: int) -> None:
        @task
        def show(value: int) -> int:
            return value

        show(number) >> EmptyOperator(task_id="below")

    group.expand(number=nothing()) >> EmptyOperator(task_id="after", trigger_rule="none_failed")
