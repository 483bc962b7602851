"""AirflowRescheduleException in a plain task: the same try again, later."""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow.sdk.timezone import utcnow
from conformance_tools import count

with DAG("reschedule_exception", schedule=None):

    @task
    def later() -> dict:
        ti = get_current_context()["ti"]
        times = count("reschedule_exception", "calls")
        if times < 3:
            raise AirflowRescheduleException(utcnow() + timedelta(seconds=2))
        return {"times": times, "try": ti.try_number}

    later()
