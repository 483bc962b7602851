"""Exponential backoff between pokes, bounded by max_wait, in both modes."""

from datetime import timedelta

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from conformance_tools import count


def third_time(name: str) -> bool:
    return count("sensor_exponential", name) >= 3


with DAG("sensor_exponential", schedule=None):
    for mode in ("poke", "reschedule"):
        PythonSensor(
            task_id=mode,
            python_callable=third_time,
            op_args=[mode],
            mode=mode,
            poke_interval=2,
            exponential_backoff=True,
            max_wait=timedelta(seconds=2),
            timeout=60,
        )
