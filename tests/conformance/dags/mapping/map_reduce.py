"""What a task sees of its mapped upstream: a lazy sequence, with indexes, slices and a length."""

from airflow.sdk import DAG, task

with DAG("map_reduce", schedule=None):

    @task
    def first(number: int) -> int | None:
        return None if number == 2 else number * 10

    @task
    def look(values: list[int]) -> dict[str, object]:
        return {
            "type": type(values).__name__,
            "len": len(values),
            "list": list(values),
            "first": values[0],
            "last": values[-1],
            "slice": list(values[1:3]),
        }

    look(first.expand(number=[1, 2, 3, 4]))
