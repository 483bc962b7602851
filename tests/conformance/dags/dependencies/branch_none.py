"""A branch that chooses nothing skips all; None and an empty list mean the same."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("branch_none", schedule=None):

    @task.branch
    def nothing() -> None:
        return None

    @task.branch
    def empty() -> list[str]:
        return []

    nothing() >> [EmptyOperator(task_id="a"), EmptyOperator(task_id="b")]
    (
        empty()
        >> [EmptyOperator(task_id="c"), EmptyOperator(task_id="d")]
        >> EmptyOperator(task_id="e", trigger_rule="all_done")
    )
