"""TimeDeltaSensor and TimeDeltaSensorAsync, deferred."""

from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG

with DAG("defer_time_delta", schedule=None):
    TimeDeltaSensor(task_id="past", delta=timedelta(seconds=1), deferrable=True)
    TimeDeltaSensor(task_id="ends_in_trigger", delta=timedelta(seconds=1), deferrable=True, end_from_trigger=True)
