"""BashSensor: exit codes, and the retry code."""

from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG

with DAG("sensor_bash_codes", schedule=None):
    BashSensor(task_id="times_out", bash_command="exit 1", poke_interval=0.3, timeout=1)
    BashSensor(task_id="fails", bash_command="exit 3", retry_exit_code=2, poke_interval=0.3, timeout=5)
    BashSensor(
        task_id="retries", bash_command="exit 2", retry_exit_code=2, poke_interval=0.3, timeout=1, soft_fail=True
    )
