"""Retries: none, success on the second try, all used up; what each try sees."""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG("retry_counts", schedule=None):

    @task(retry_delay=timedelta(seconds=0.5))
    def needs(tries: int) -> int:
        ti = get_current_context()["ti"]
        note("retry_counts", ti.task_id, try_number=ti.try_number, max_tries=ti.max_tries)
        if ti.try_number < tries:
            raise ValueError("not yet")
        return ti.try_number

    for retries, tries in ((0, 1), (0, 2), (1, 2), (1, 3), (3, 3)):
        needs.override(task_id=f"retries_{retries}_needs_{tries}", retries=retries)(tries)
