"""XComArg.concat: one list after another, with maps before and after."""

from airflow.sdk import DAG, task

with DAG("map_concat", schedule=None):

    @task
    def numbers() -> list[int]:
        return [1, 2]

    @task
    def words() -> list[str]:
        return ["a"]

    @task
    def each(number: int) -> int:
        return number * 100

    @task
    def show(value: object) -> str:
        return repr(value)

    left, right = numbers(), words()
    show.override(task_id="two").expand(value=left.concat(right))
    show.override(task_id="three").expand(value=left.concat(right, each.expand(number=[1, 2])))
    show.override(task_id="mapped").expand(
        value=left.map(lambda number: number + 1).concat(right).map(lambda value: [value])
    )
