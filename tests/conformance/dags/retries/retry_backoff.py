"""Exponential backoff with deterministic jitter, bounded by max_retry_delay; and a bound that counts only with backoff."""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG("retry_backoff", schedule=None):

    @task(
        retries=3,
        retry_delay=timedelta(seconds=1),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=2),
    )
    def bounded() -> None:
        ti = get_current_context()["ti"]
        note("retry_backoff", "bounded", try_number=ti.try_number)
        raise ValueError("always")

    @task(retries=2, retry_delay=timedelta(seconds=0.2), max_retry_delay=timedelta(seconds=0.1))
    def not_bounded_without_backoff() -> None:
        raise ValueError("always")

    bounded()
    not_bounded_without_backoff()
