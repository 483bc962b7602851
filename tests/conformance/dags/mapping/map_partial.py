"""partial arguments beside expanded ones, in the TaskFlow and the operator spelling."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task

with DAG("map_partial", schedule=None):

    @task(retries=1)
    def add(one: int, other: int) -> int:
        return one + other

    add.partial(one=10).expand(other=[1, 2])
    BashOperator.partial(task_id="bash", env={"WHO": "me"}, append_env=True).expand(
        bash_command=["echo $WHO 1", "echo $WHO 2"]
    )
    PythonOperator.partial(task_id="python", python_callable=lambda *args, **more: [list(args), sorted(more)]).expand(
        op_args=[[1], [2, 3]]
    )
