"""One of three instances fails, one is skipped; what follows, by trigger rule."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

RULES = (
    "all_success",
    "all_failed",
    "all_done",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_skipped",
    "all_skipped",
    "none_failed_min_one_success",
    "all_done_min_one_success",
    "always",
)

with DAG("map_one_fails", schedule=None):

    @task
    def act(what: str) -> str:
        if what == "fail":
            raise ValueError("as told")
        if what == "skip":
            raise AirflowSkipException("as told")
        return what

    first = act.override(task_id="fail_and_succeed").expand(what=["go", "fail"])
    second = act.override(task_id="skip_and_succeed").expand(what=["skip", "go"])
    for rule in RULES:
        first >> EmptyOperator(task_id=f"failed_{rule}", trigger_rule=rule)
        second >> EmptyOperator(task_id=f"skipped_{rule}", trigger_rule=rule)
