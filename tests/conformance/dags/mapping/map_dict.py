"""expand over a dict maps over its items."""

from airflow.sdk import DAG, task

with DAG("map_dict", schedule=None):

    @task
    def made() -> dict[str, int]:
        return {"b": 2, "a": 1}

    @task
    def show(item: object) -> str:
        return repr(tuple(item))

    show.override(task_id="from_literal").expand(item={"x": 1, "y": 2})
    show.override(task_id="from_upstream").expand(item=made())
