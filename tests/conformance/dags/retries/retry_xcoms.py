"""XComs of a failed try are gone in the next."""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task

with DAG("retry_xcoms", schedule=None):

    @task(retries=1, retry_delay=timedelta(seconds=0.3))
    def flaky() -> str:
        ti = get_current_context()["ti"]
        seen = ti.xcom_pull(task_ids="flaky", key="from_try_1")
        ti.xcom_push(key=f"from_try_{ti.try_number}", value=True)
        if ti.try_number == 1:
            raise ValueError("once")
        return f"saw {seen}"

    flaky()
