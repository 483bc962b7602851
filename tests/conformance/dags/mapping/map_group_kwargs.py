"""A mapped task group by expand_kwargs, and one with a partial argument."""

from airflow.sdk import DAG, task, task_group

with DAG("map_group_kwargs", schedule=None):

    @task
    def show(a: int, b: int) -> str:
        return f"{a}{b}"

    @task_group
    def by_kwargs(a: int, b: int) -> None:
        show(a, b)

    @task_group
    def by_partial(a: int, b: int) -> None:
        show(a, b)

    by_kwargs.expand_kwargs([{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    by_partial.partial(a=7).expand(b=[8, 9])
