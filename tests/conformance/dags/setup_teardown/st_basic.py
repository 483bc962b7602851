"""Setup, work, teardown: all succeed; and the decorators' spelling."""

from airflow.sdk import DAG, setup, task, teardown

with DAG("st_basic", schedule=None):

    @setup
    def up() -> str:
        return "cluster"

    @task
    def work(name: str) -> str:
        return f"worked on {name}"

    @teardown
    def down(name: str) -> str:
        return f"removed {name}"

    cluster = up()
    work(cluster) >> down(cluster)
