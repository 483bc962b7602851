"""XComArg.zip: as long as the shortest, or the longest with a fill value."""

from airflow.sdk import DAG, task

with DAG("map_zip", schedule=None):

    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    def words() -> list[str]:
        return ["a", "b"]

    @task
    def show(pair: object) -> str:
        return repr(tuple(pair))

    left, right = numbers(), words()
    show.override(task_id="short").expand(pair=left.zip(right))
    show.override(task_id="filled").expand(pair=left.zip(right, fillvalue="-"))
    show.override(task_id="three").expand(pair=left.zip(right, left.map(lambda number: -number)))
