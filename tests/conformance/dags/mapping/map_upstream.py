"""expand over what an upstream task pushed: a list, and a literal crossed with it."""

from airflow.sdk import DAG, task

with DAG("map_upstream", schedule=None):

    @task
    def numbers() -> list[int]:
        return [5, 6, 7]

    @task
    def show(number: int, word: str) -> str:
        return f"{word}{number}"

    show.expand(number=numbers(), word=["x", "y"])
