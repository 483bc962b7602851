"""@task.sensor, PokeReturnValue with an XCom, and a sensor without one."""

from airflow.sdk import DAG, PokeReturnValue, task
from conformance_tools import count

with DAG("sensor_value", schedule=None):

    @task.sensor(poke_interval=0.3, timeout=30)
    def with_value() -> PokeReturnValue:
        times = count("sensor_value", "with_value")
        return PokeReturnValue(is_done=times >= 2, xcom_value={"times": times})

    @task.sensor(poke_interval=2, timeout=30, mode="reschedule")
    def rescheduled() -> PokeReturnValue:
        times = count("sensor_value", "rescheduled")
        return PokeReturnValue(is_done=times >= 2, xcom_value=times)

    @task.sensor(poke_interval=0.3, timeout=30)
    def plain() -> bool:
        return True

    @task
    def show(value: object, other: object) -> str:
        return f"{value} {other}"

    show(with_value(), rescheduled())
    plain()
