"""What several end-to-end tests share: task instances by map index, and a DAG file's common head."""

from __future__ import annotations

from harness import Client, eventually

#: The head of most DAG files.
HEAD = """
import json
import os
import pathlib
import time
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, TaskGroup, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

HERE = pathlib.Path("{folder}")
"""


def key(row: dict) -> str:
    """A task instance in short: `task`, or `task[3]` when it is mapped."""
    return row["task_id"] if row["map_index"] < 0 else f"{row['task_id']}[{row['map_index']}]"


def instances(client: Client, dag_id: str, run_id: str) -> dict[str, dict]:
    """The task instances of a run, mapped ones with their index."""
    return {key(row): row for row in client.json("tasks", "states-for-dag-run", dag_id, run_id)}


def states(client: Client, dag_id: str, run_id: str) -> dict[str, str]:
    return {name: row["state"] for name, row in instances(client, dag_id, run_id).items()}


def wait_for(client: Client, dag_id: str, run_id: str, name: str, *wanted: str) -> dict:
    """Waits until a task instance (`task` or `task[3]`) is in one of the states."""

    def there() -> dict | None:
        row = instances(client, dag_id, run_id)[name]
        return row if row["state"] in wanted else None

    found = eventually(f"{dag_id}.{name} in {wanted}", there)
    assert isinstance(found, dict)
    return found


def xcoms(client: Client, dag_id: str, run_id: str, task_id: str, name: str = "return_value") -> list:
    """The values that the instances of a task pushed, by map index."""
    rows = client.json("xcom", "list", dag_id, run_id, "-t", task_id, "-k", name, "--limit", "0")
    return [row["value"] for row in sorted(rows, key=lambda row: row["map_index"])]


def runs(client: Client, dag_id: str) -> dict[str, str]:
    """The states of a DAG's runs."""
    return {row["run_id"]: row["state"] for row in client.json("dags", "list-runs", dag_id, "--limit", "0")}


def finished_runs(client: Client, dag_id: str, count: int) -> dict[str, str]:
    """Waits until a DAG has so many runs, and all are over."""

    def over() -> dict[str, str] | None:
        found = runs(client, dag_id)
        done = len(found) >= count and all(state in ("success", "failed") for state in found.values())
        return found if done else None

    found = eventually(f"{count} finished runs of {dag_id}", over)
    assert isinstance(found, dict)
    return found
