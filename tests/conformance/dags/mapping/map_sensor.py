"""Mapped sensors, poking and rescheduling."""

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from conformance_tools import count


def third_time(name: str) -> bool:
    return count("map_sensor", name) >= 3


with DAG("map_sensor", schedule=None):
    for mode in ("poke", "reschedule"):
        PythonSensor.partial(task_id=mode, python_callable=third_time, mode=mode, poke_interval=2, timeout=60).expand(
            op_args=[[f"{mode}_a"], [f"{mode}_b"]]
        )
