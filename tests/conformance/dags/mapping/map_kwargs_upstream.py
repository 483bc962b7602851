"""expand_kwargs over what an upstream task pushed, with a partial argument; one dict is not fit."""

from airflow.sdk import DAG, task

with DAG("map_kwargs_upstream", schedule=None):

    @task
    def made() -> list[dict[str, int]]:
        return [{"a": 1, "b": 2}, {"a": 3, "b": 4}]

    @task
    def not_dicts() -> list[int]:
        return [1, 2]

    @task
    def show(a: int, b: int, c: int) -> str:
        return f"{a}{b}{c}"

    show.partial(c=9).expand_kwargs(made())
    show.override(task_id="fails").partial(c=9).expand_kwargs(not_dicts())
