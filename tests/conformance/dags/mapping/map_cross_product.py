"""Several expanded arguments: their cross product, the last one fastest."""

from airflow.sdk import DAG, task

with DAG("map_cross_product", schedule=None):

    @task
    def pair(one: int, other: str, third: bool) -> str:
        return f"{one}{other}{third}"

    pair.expand(one=[1, 2], other=["a", "b"], third=[True, False])
