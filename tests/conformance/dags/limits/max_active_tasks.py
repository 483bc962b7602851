"""max_active_tasks of the DAG: at most so many task instances of a run at once.

scenario:
  - trigger
  - wait
"""

import time

from airflow.sdk import DAG, task

with DAG("max_active_tasks", schedule=None, max_active_tasks=2):

    @task
    def span() -> list[float]:
        began = time.time()
        time.sleep(1)
        return [began, time.time()]

    @task
    def most(spans: list) -> bool:
        edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
        at_once = most_at_once = 0
        for _, change in edges:
            at_once += change
            most_at_once = max(most_at_once, at_once)
        return most_at_once <= 2

    most([span.override(task_id=f"span_{number}")() for number in range(5)])
