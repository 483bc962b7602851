"""What a task raises, and what becomes of it with a retry left.

options:
  mismatch: true
"""

import os
import sys
from datetime import timedelta

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from conformance_tools import note


def system_exit(code: object):
    return lambda: sys.exit(code)


def raising(error: BaseException):
    def act() -> None:
        raise error

    return act


ACTIONS = {
    "value_error": raising(ValueError("x")),
    "airflow": raising(AirflowException("x")),
    "fail": raising(AirflowFailException("x")),
    "skip": raising(AirflowSkipException("x")),
    "sensor_timeout": raising(AirflowSensorTimeout("x")),
    "task_timeout": raising(AirflowTaskTimeout("x")),
    "keyboard": raising(KeyboardInterrupt()),
    "base": raising(BaseException("x")),
    "generator_exit": raising(GeneratorExit()),
    "memory": raising(MemoryError()),
    "sys_exit_0": system_exit(0),
    "sys_exit_1": system_exit(1),
    "sys_exit_none": system_exit(None),
    "sys_exit_text": system_exit("over"),
    "os_exit_1": lambda: os._exit(1),
}

with DAG("retry_exceptions", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=2)}):
    for name, action in ACTIONS.items():

        @task(task_id=name)
        def act(name: str) -> None:
            note("retry_exceptions", name)
            ACTIONS[name]()

        act(name)
