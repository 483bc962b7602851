"""A list of callbacks: all are called, in order, even when one raises; the state stays.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from airflow.sdk import DAG, task
from conformance_tools import note


def first(context) -> None:
    note("cb_several", "first")


def broken(context) -> None:
    note("cb_several", "broken")
    raise RuntimeError("a callback that raises")


def last(context) -> None:
    note("cb_several", "last")


with DAG("cb_several", schedule=None):

    @task(on_success_callback=[first, broken, last])
    def succeeds() -> str:
        return "kept"

    @task(on_execute_callback=broken)
    def broken_before() -> str:
        return "ran"

    succeeds()
    broken_before()
