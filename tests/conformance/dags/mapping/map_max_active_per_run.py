"""max_active_tis_per_dagrun: instances of a mapped task one after the other."""

import time

from airflow.sdk import DAG, task

with DAG("map_max_active_per_run", schedule=None):

    @task(max_active_tis_per_dagrun=1)
    def one_by_one(number: int) -> list[float]:
        began = time.time()
        time.sleep(0.5)
        return [began, time.time()]

    @task
    def overlaps(spans: list[list[float]]) -> int:
        spans = sorted(spans)
        return sum(later[0] < earlier[1] for earlier, later in zip(spans, spans[1:]))

    overlaps(one_by_one.expand(number=[1, 2, 3]))
