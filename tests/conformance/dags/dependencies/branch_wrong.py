"""A branch that names a task that does not exist, or answers something else, fails."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("branch_wrong", schedule=None):

    @task.branch
    def unknown() -> str:
        return "nowhere"

    @task.branch
    def number() -> int:
        return 7

    @task.branch
    def not_below() -> str:
        return "elsewhere"

    elsewhere = EmptyOperator(task_id="elsewhere")
    unknown() >> EmptyOperator(task_id="a")
    number() >> EmptyOperator(task_id="b")
    not_below() >> EmptyOperator(task_id="c")
