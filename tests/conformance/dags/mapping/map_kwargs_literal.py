"""expand_kwargs over a list of dicts that stands in the file."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG("map_kwargs_literal", schedule=None):

    @task
    def show(a: int, b: int = 0) -> str:
        return f"{a}/{b}"

    show.expand_kwargs([{"a": 1}, {"a": 2, "b": 3}])
    BashOperator.partial(task_id="bash").expand_kwargs(
        [{"bash_command": "echo $X", "env": {"X": "1"}}, {"bash_command": "echo two"}]
    )
