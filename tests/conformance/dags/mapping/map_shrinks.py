"""When the upstream list is shorter the second time, the indexes left over are removed.

scenario:
  - trigger
  - wait
  - clear: {tasks: [numbers], downstream: true}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, get_current_context, task

with DAG("map_shrinks", schedule=None):

    @task
    def numbers() -> list[int]:
        return [1, 2, 3] if get_current_context()["ti"].try_number == 1 else [9]

    @task
    def show(number: int) -> int:
        return number

    show.expand(number=numbers()) >> EmptyOperator(task_id="after")
