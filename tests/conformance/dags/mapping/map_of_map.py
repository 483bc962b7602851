"""A mapped task downstream of a mapped task: one instance for each of its outputs, in order of the indexes."""

import time

from airflow.sdk import DAG, task

with DAG("map_of_map", schedule=None):

    @task
    def first(number: int) -> int:
        time.sleep(0.5 * (3 - number))
        return number * 10

    @task
    def second(number: int) -> int:
        return number + 1

    @task
    def total(numbers: list[int]) -> str:
        return f"{list(numbers)} makes {sum(numbers)}"

    total(second.expand(number=first.expand(number=[1, 2, 3])))
