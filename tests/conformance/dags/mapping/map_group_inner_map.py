"""A mapped task in a mapped task group is an import error, by Airflow's own rule.

options:
  dags: []
scenario:
  - note_import_errors
"""

from airflow.sdk import DAG, task, task_group

with DAG("map_group_inner_map", schedule=None):

    @task
    def show(value: int, other: int) -> int:
        return value + other

    @task_group
    def group(number: int) -> None:
        show.partial(value=number).expand(other=[1, 2])

    group.expand(number=[1, 2])
