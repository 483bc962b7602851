"""expand over a number, a string, and over nothing pushed at all: the task that pushes fails."""

from airflow.sdk import DAG, task

with DAG("map_not_list", schedule=None):

    @task
    def show(value: object) -> str:
        return repr(value)

    for name, value in {"number": 7, "text": "abc", "none": None}.items():

        @task(task_id=f"push_{name}")
        def push(value: object) -> object:
            return value

        show.override(task_id=f"over_{name}").expand(value=push(value))
