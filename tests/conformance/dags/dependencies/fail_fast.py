"""fail_fast: the first failure ends the run; what did not run is skipped, teardowns are spared."""

import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, teardown
from conformance_tools import note, wait_until_noted

with DAG("fail_fast", schedule=None, fail_fast=True):

    @task
    def fails() -> None:
        wait_until_noted("fail_fast", "long_one", "work")
        raise ValueError("now")

    @task
    def long_one() -> None:
        note("fail_fast", "long_one")
        time.sleep(30)

    @task
    def after() -> None: ...

    @setup
    def up() -> None: ...

    @task
    def work() -> None:
        note("fail_fast", "work")
        time.sleep(30)

    @teardown
    def down() -> None: ...

    fails() >> EmptyOperator(task_id="below")
    long_one() >> after()
    begin, end = up(), down()
    begin >> work() >> end
    begin >> end
