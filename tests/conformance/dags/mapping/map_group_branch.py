"""A branch in a mapped task group decides for its own index; a short circuit too."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

with DAG("map_group_branch", schedule=None):

    @task_group
    def branching(number: int) -> None:
        @task.branch
        def choose(value: int) -> str:
            return "branching.even" if value % 2 == 0 else "branching.odd"

        (
            choose(number)
            >> [EmptyOperator(task_id="even"), EmptyOperator(task_id="odd")]
            >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
        )

    @task_group
    def stopping(number: int) -> None:
        @task.short_circuit
        def large(value: int) -> bool:
            return value > 1

        large(number) >> EmptyOperator(task_id="below")

    branching.expand(number=[1, 2])
    stopping.expand(number=[1, 2])
