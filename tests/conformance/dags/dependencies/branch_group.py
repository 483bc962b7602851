"""A branch that chooses a task group by its id."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task

with DAG("branch_group", schedule=None):

    @task.branch
    def choose() -> str:
        return "first"

    with TaskGroup("first") as first:
        EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
    with TaskGroup("second") as second:
        EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
    choose() >> [first, second] >> EmptyOperator(task_id="end", trigger_rule="none_failed_min_one_success")
