"""map_index_template names the instances; also one that fails to render and one set in the task."""

from airflow.sdk import DAG, get_current_context, task

with DAG("map_index_template", schedule=None):

    @task(map_index_template="number {{ number }}")
    def by_template(number: int) -> int:
        get_current_context()["number"] = number
        return number

    @task(map_index_template="{{ task.op_kwargs['number'] }} of {{ dag.dag_id }}")
    def by_kwargs(number: int) -> int:
        return number

    @task(map_index_template="{{ nowhere }}")
    def broken(number: int) -> int:
        return number

    for mapped in (by_template, by_kwargs, broken):
        mapped.expand(number=[1, 2])
