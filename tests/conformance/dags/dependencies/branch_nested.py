"""A branch within a branch, joined with different trigger rules."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("branch_nested", schedule=None):

    @task.branch
    def outer() -> str:
        return "inner"

    @task.branch
    def inner() -> str:
        return "deep_a"

    deep_a, deep_b = EmptyOperator(task_id="deep_a"), EmptyOperator(task_id="deep_b")
    other = EmptyOperator(task_id="other")
    chosen = inner()
    outer() >> [chosen, other]
    chosen >> [deep_a, deep_b]
    for rule in ("all_success", "none_failed", "none_failed_min_one_success", "all_done", "one_success", "all_skipped"):
        [deep_a, deep_b, other] >> EmptyOperator(task_id=f"join_{rule}", trigger_rule=rule)
