"""Poke mode: tries until true, all in one try."""

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from conformance_tools import count, note


def third_time() -> bool:
    note("sensor_poke", "poke")
    return count("sensor_poke", "pokes") >= 3


with DAG("sensor_poke", schedule=None):
    PythonSensor(task_id="wait", python_callable=third_time, poke_interval=0.3, timeout=60)
