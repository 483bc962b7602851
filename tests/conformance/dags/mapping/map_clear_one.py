"""Clearing one index of a mapped task leaves the others; clearing the upstream expands anew.

scenario:
  - trigger
  - wait
  - clear: {tasks: [[show, 1]]}
  - wait
  - note_states
  - clear: {tasks: [numbers], downstream: true}
  - wait
"""

from airflow.sdk import DAG, get_current_context, task

with DAG("map_clear_one", schedule=None):

    @task
    def numbers() -> list[int]:
        return list(range(1, 2 + get_current_context()["ti"].try_number))

    @task
    def show(number: int) -> int:
        return number

    show.expand(number=numbers())
