"""@task.branch that follows two of four tasks."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("branch_several", schedule=None):

    @task.branch
    def choose() -> list[str]:
        return ["one", "three"]

    tasks = [EmptyOperator(task_id=name) for name in ("one", "two", "three", "four")]
    choose() >> tasks >> EmptyOperator(task_id="end", trigger_rule="one_success")
