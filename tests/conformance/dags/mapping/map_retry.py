"""Only the index that fails is tried again.

scenario:
  - trigger
  - wait
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task

with DAG("map_retry", schedule=None):

    @task(retries=2, retry_delay=timedelta(seconds=0.5))
    def flaky(needed: int) -> str:
        number = get_current_context()["ti"].try_number
        if number < needed:
            raise ValueError("not yet")
        return f"try {number}"

    flaky.expand(needed=[1, 3, 9])
