"""A timeout fails the sensor at once, whatever its retries; soft_fail skips it instead. Both modes."""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG

with DAG("sensor_timeout", schedule=None):
    for mode in ("poke", "reschedule"):
        for soft in (False, True):
            PythonSensor(
                task_id=f"{mode}_{'soft' if soft else 'hard'}",
                python_callable=lambda: False,
                mode=mode,
                soft_fail=soft,
                poke_interval=2,
                timeout=1,
                retries=2,
                retry_delay=timedelta(seconds=0.5),
            ) >> EmptyOperator(task_id=f"after_{mode}_{'soft' if soft else 'hard'}")
