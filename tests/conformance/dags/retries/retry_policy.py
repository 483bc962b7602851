"""RetryPolicy by exception: fail at once, retry with its own delay, and the default."""

from datetime import timedelta

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context, task

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=KeyError, action=RetryAction.FAIL, reason="no use"),
        RetryRule(exception=ConnectionError, action=RetryAction.RETRY, retry_delay=timedelta(seconds=0.3)),
        RetryRule(exception="builtins.LookupError", action=RetryAction.FAIL, match_subclasses=False),
    ]
)

with DAG("retry_policy", schedule=None):

    @task(retries=2, retry_delay=timedelta(seconds=0.5), retry_policy=POLICY)
    def raises(error: str) -> int:
        number = get_current_context()["ti"].try_number
        if number < 3:
            raise {
                "key": KeyError,
                "connection": ConnectionResetError,
                "index": IndexError,
                "lookup": LookupError,
                "value": ValueError,
            }[error]()
        return number

    for error in ("key", "connection", "index", "lookup", "value"):
        raises.override(task_id=f"raises_{error}")(error)
