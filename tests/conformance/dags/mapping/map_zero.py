"""expand over nothing: the task is skipped, and what follows by its rule."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("map_zero", schedule=None):

    @task
    def nothing() -> list[int]:
        return []

    @task
    def show(number: int) -> int:
        return number

    @task(trigger_rule="all_done")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    mapped = show.expand(number=nothing())
    total(mapped)
    for rule in (
        "all_success",
        "none_failed",
        "all_skipped",
        "one_success",
        "none_skipped",
        "none_failed_min_one_success",
    ):
        mapped >> EmptyOperator(task_id=rule, trigger_rule=rule)
    show.override(task_id="literal").expand(number=[]) >> EmptyOperator(task_id="after_literal")
