"""xcom_pull of mapped tasks: all, some, one index, another key, several tasks, and nothing there."""

from airflow.sdk import DAG, get_current_context, task

with DAG("map_xcom_pull", schedule=None):

    @task
    def push(number: int) -> int:
        get_current_context()["ti"].xcom_push(key="other", value=-number)
        return number * 10

    @task
    def single() -> str:
        return "one"

    @task
    def look() -> dict[str, object]:
        ti = get_current_context()["ti"]
        listed = lambda value: list(value) if not isinstance(value, (str, int, type(None))) else value  # noqa: E731
        return {
            "all": listed(ti.xcom_pull(task_ids="push")),
            "one": ti.xcom_pull(task_ids="push", map_indexes=1),
            "some": listed(ti.xcom_pull(task_ids="push", map_indexes=[2, 0])),
            "other": listed(ti.xcom_pull(task_ids="push", key="other")),
            "missing": listed(ti.xcom_pull(task_ids="push", key="none", default="d")),
            "missing_index": ti.xcom_pull(task_ids="push", map_indexes=7, default="d"),
            "two": listed(ti.xcom_pull(task_ids=["push", "single"])),
            "single": ti.xcom_pull(task_ids="single"),
            "own": ti.xcom_pull(),
        }

    [push.expand(number=[1, 2, 3]), single()] >> look()
