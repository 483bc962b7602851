"""A poke that raises: retried by default; soft_fail, silent_fail and never_fail; a skip in a poke."""

from datetime import timedelta

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from conformance_tools import count


def raises() -> bool:
    raise ValueError("in a poke")


def fails() -> bool:
    raise AirflowFailException("in a poke")


def skips() -> bool:
    raise AirflowSkipException("in a poke")


def second_time() -> bool:
    if count("sensor_errors", "silent") < 2:
        raise ValueError("in a poke")
    return True


OPTIONS = {"poke_interval": 0.3, "timeout": 30, "retries": 1, "retry_delay": timedelta(seconds=0.5)}

with DAG("sensor_errors", schedule=None):
    PythonSensor(task_id="plain", python_callable=raises, **OPTIONS)
    PythonSensor(task_id="soft_error", python_callable=raises, soft_fail=True, **OPTIONS)
    PythonSensor(task_id="soft_fail_exception", python_callable=fails, soft_fail=True, **OPTIONS)
    PythonSensor(task_id="fail_exception", python_callable=fails, **OPTIONS)
    PythonSensor(task_id="never", python_callable=raises, never_fail=True, **OPTIONS)
    PythonSensor(task_id="silent", python_callable=second_time, silent_fail=True, **OPTIONS)
    PythonSensor(task_id="skip", python_callable=skips, **OPTIONS)
