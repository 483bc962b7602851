"""Setup and teardown in a mapped task group, with a failure in one index."""

from airflow.sdk import DAG, setup, task, task_group, teardown

with DAG("map_group_setup", schedule=None):

    @task_group
    def group(number: int) -> None:
        @setup
        def up(value: int) -> int:
            return value

        @task
        def work(value: int) -> int:
            if value == 2:
                raise ValueError("two fails")
            return value

        @teardown
        def down(value: int) -> str:
            return f"down {value}"

        ready = up(number)
        work(ready) >> down(ready)

    group.expand(number=[1, 2])
