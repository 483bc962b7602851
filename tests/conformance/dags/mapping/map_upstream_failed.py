"""What is mapped over a failed, a skipped or an upstream_failed task is not expanded."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

with DAG("map_upstream_failed", schedule=None):

    @task
    def fails() -> list[int]:
        raise ValueError("no list")

    @task
    def skips() -> list[int]:
        raise AirflowSkipException("no list")

    @task
    def show(value: int) -> int:
        return value

    over_failed = show.override(task_id="over_failed").expand(value=fails())
    over_skipped = show.override(task_id="over_skipped").expand(value=skips())
    show.override(task_id="over_both").expand(value=over_failed)
    show.override(task_id="anyway", trigger_rule="all_done").expand(value=skips.override(task_id="skips_too")())
    [over_failed, over_skipped] >> EmptyOperator(task_id="done", trigger_rule="all_done")
