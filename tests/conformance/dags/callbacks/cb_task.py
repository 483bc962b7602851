"""Task callbacks: execute, success, failure, retry, skipped; what each is given.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from conformance_tools import note


def on(kind: str):
    def call(context) -> None:
        ti = context["ti"]
        error = context.get("exception")
        note(
            "cb_task",
            kind,
            task=ti.task_id,
            try_number=ti.try_number,
            state=str(ti.state),
            error=None if error is None else f"{type(error).__name__}: {error}",
            run_id=context["run_id"],
            ds=context["ds"],
        )

    return call


CALLBACKS = {f"on_{kind}_callback": on(kind) for kind in ("execute", "success", "failure", "retry", "skipped")}

with DAG("cb_task", schedule=None, default_args={**CALLBACKS, "retries": 1, "retry_delay": timedelta(seconds=0.3)}):

    @task
    def succeeds() -> None: ...

    @task
    def fails() -> None:
        raise ValueError("both times")

    @task
    def second_time() -> None:
        if get_current_context()["ti"].try_number == 1:
            raise KeyError("once")

    @task
    def skips() -> None:
        raise AirflowSkipException("skipped")

    succeeds()
    fails()
    second_time()
    skips()
