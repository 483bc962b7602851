"""Task groups in task groups: ids with and without prefixes, edges from and to groups."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task, task_group

with DAG("groups_nested", schedule=None):
    begin, end = EmptyOperator(task_id="begin"), EmptyOperator(task_id="end")
    with TaskGroup("outer", tooltip="of two") as outer:
        a = EmptyOperator(task_id="a")
        with TaskGroup("inner", prefix_group_id=False) as inner:
            EmptyOperator(task_id="bare") >> EmptyOperator(task_id="bare_too")
        with TaskGroup("deep") as deep:
            EmptyOperator(task_id="b")
            EmptyOperator(task_id="c")
        a >> [inner, deep]

    @task_group(default_args={"retries": 2})
    def by_decorator(value: int) -> int:
        @task
        def twice(number: int) -> int:
            return number * 2

        return twice(twice(value))

    @task
    def show(value: int) -> str:
        return f"it is {value}"

    begin >> outer >> end
    show(by_decorator(3)) << begin
    by_decorator(4)
