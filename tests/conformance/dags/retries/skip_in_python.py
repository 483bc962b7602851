"""PythonOperator skipping by exit code of its own exceptions; skip_on_exit_code is for others, so only exceptions count."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

with DAG("skip_in_python", schedule=None):

    @task
    def skips() -> None:
        raise AirflowSkipException

    @task
    def skips_two() -> None:
        raise DownstreamTasksSkipped(tasks=["two_a", "two_c"])

    skips() >> [EmptyOperator(task_id="one_a"), EmptyOperator(task_id="one_b", trigger_rule="none_failed")]
    skips_two() >> [EmptyOperator(task_id=name) for name in ("two_a", "two_b", "two_c")]
