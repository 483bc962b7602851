"""Callbacks of mapped tasks: once for each index.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from airflow.sdk import DAG, task
from conformance_tools import note


def on(kind: str):
    return lambda context: note("cb_mapped", kind, map_index=context["ti"].map_index)


with DAG("cb_mapped", schedule=None):

    @task(on_success_callback=on("success"), on_failure_callback=on("failure"))
    def act(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    act.expand(number=[1, 2, 3])
