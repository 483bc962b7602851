"""A rescheduling sensor whose poke fails once: the next try begins anew."""

from datetime import timedelta

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from conformance_tools import count, note


def act(ti) -> bool:
    number = count("sensor_retry_reschedule", "pokes")
    note("sensor_retry_reschedule", "poke", number=number, try_number=ti.try_number)
    if number == 2:
        raise ValueError("the second poke fails")
    return number >= 4


with DAG("sensor_retry_reschedule", schedule=None):
    PythonSensor(
        task_id="wait",
        python_callable=act,
        mode="reschedule",
        poke_interval=2,
        timeout=60,
        retries=1,
        retry_delay=timedelta(seconds=0.5),
    )
