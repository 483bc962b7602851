"""Reschedule mode: the slot is free between pokes, the try number stays."""

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from conformance_tools import count, note


def third_time(ti, task_reschedule_count) -> bool:
    note("sensor_reschedule", "poke", try_number=ti.try_number, reschedules=task_reschedule_count)
    return count("sensor_reschedule", "pokes") >= 3


with DAG("sensor_reschedule", schedule=None):
    PythonSensor(task_id="wait", python_callable=third_time, mode="reschedule", poke_interval=2, timeout=60)
