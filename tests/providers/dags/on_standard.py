"""standard: what tests/conformance does not compare with Airflow already: other interpreters, files, triggers."""

from __future__ import annotations

import sys
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ExternalPythonOperator, PythonOperator, PythonVirtualenvOperator
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, task


def elsewhere(name: str) -> dict:
    import sys

    return {"name": name, "modules": "airflow" in sys.modules}


with DAG("standard", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    BashOperator(task_id="bash", bash_command="echo {{ dag.dag_id }}; echo $WHO", env={"WHO": "me"}, append_env=True)
    ExternalPythonOperator(
        task_id="external", python=sys.executable, python_callable=elsewhere, op_args=["{{ task.task_id }}"],
        expect_airflow=False,
    )
    PythonVirtualenvOperator(
        task_id="virtualenv", python_callable=elsewhere, op_args=["{{ task.task_id }}"], requirements=[],
        system_site_packages=False,
    )
    # The test makes the file, once `deferred` waits.
    FileSensor(task_id="deferred", fs_conn_id="fs", filepath="flag", deferrable=True, poke_interval=1)
    FileSensor(task_id="poking", fs_conn_id="fs", filepath="flag", mode="reschedule", poke_interval=1)
    PythonOperator(task_id="python", python_callable=elsewhere, op_args=["{{ task.task_id }}"])

    @task.bash
    def decorated() -> str:
        return "echo decorated"

    decorated()
