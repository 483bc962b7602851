"""In a mapped task group, a failure stays with its index; a skip too; rules inside count their own index only."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

with DAG("map_group_fails", schedule=None):

    @task_group
    def group(what: str) -> None:
        @task
        def act(what: str) -> str:
            if what == "fail":
                raise ValueError("as told")
            if what == "skip":
                raise AirflowSkipException("as told")
            return what

        acted = act(what)
        for rule in ("all_success", "one_failed", "all_done", "none_failed", "all_skipped", "one_success"):
            acted >> EmptyOperator(task_id=rule, trigger_rule=rule)

    done = group.expand(what=["go", "fail", "skip"])
    done >> EmptyOperator(task_id="after")
    done >> EmptyOperator(task_id="after_all", trigger_rule="all_done")
