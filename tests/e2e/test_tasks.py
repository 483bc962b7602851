"""Tasks from DAG files on a standalone system: retries, skips, logs, limits, clearing, and `tasks why`."""

from __future__ import annotations

import pytest
from harness import Standalone, eventually

BEHAVIOUR = '''
import pathlib
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

HERE = pathlib.Path("{folder}")


def fails_once(ti):
    marker = HERE / f"{{ti.run_id}}.tried"
    if not marker.exists():
        marker.touch()
        raise ValueError("not yet")
    return ti.try_number


def skips():
    raise AirflowSkipException("nothing to do")


def fails_for_good():
    raise AirflowFailException("no use trying again")


with DAG("behaviour", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
    retried = PythonOperator(
        task_id="retried", python_callable=fails_once, retries=2, retry_delay=timedelta(seconds=0)
    )
    skipped = PythonOperator(task_id="skipped", python_callable=skips)
    failed = PythonOperator(task_id="failed", python_callable=fails_for_good, retries=5)
    after_skip = BashOperator(task_id="after_skip", bash_command="true")
    after_failure = BashOperator(task_id="after_failure", bash_command="true")
    cleanup = BashOperator(
        task_id="cleanup", trigger_rule="all_done", bash_command="echo {{{{ ti.xcom_pull(task_ids='retried') }}}}"
    )
    skipped >> after_skip
    failed >> after_failure
    [retried, after_skip, after_failure] >> cleanup

with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    first = BashOperator(
        task_id="first", bash_command="until [ -e {folder}/go ]; do sleep 0.05; done; echo went", pool="single"
    )
    second = BashOperator(task_id="second", bash_command="true", pool="single")
    third = BashOperator(task_id="third", bash_command="true")
    nobody = BashOperator(task_id="nobody", bash_command="true", queue="nobody_serves_this")
    poolless = BashOperator(task_id="poolless", bash_command="true", pool="no_such_pool")
    first >> third
'''


@pytest.fixture(scope="module")
def ready(system: Standalone) -> Standalone:
    system.write("behaviour.py", BEHAVIOUR.format(folder=system.folder))
    system.client.wait_for_dag("behaviour")
    system.client.run("pools", "set", "single", "1", "one at a time")
    return system


@pytest.fixture(scope="module")
def behaved(ready: Standalone) -> str:
    run_id = ready.client.trigger("behaviour")
    # Its only leaf succeeds: Airflow calls that a success, although a task failed.
    assert ready.client.finish("behaviour", run_id) == "success"
    return run_id


def test_every_outcome_ends_in_its_state(ready: Standalone, behaved: str) -> None:
    assert ready.client.states("behaviour", behaved) == {
        "retried": "success",
        "skipped": "skipped",
        "failed": "failed",
        "after_skip": "skipped",
        "after_failure": "upstream_failed",
        "cleanup": "success",
    }


def test_tries_count_and_final_failures_are_not_retried(ready: Standalone, behaved: str) -> None:
    tasks = ready.client.tasks("behaviour", behaved)
    assert tasks["retried"]["try_number"] == 2
    assert tasks["failed"]["try_number"] == 1


def test_templates_see_xcoms_and_logs_hold_the_output(ready: Standalone, behaved: str) -> None:
    assert ready.client.xcom("behaviour", behaved, "cleanup") == "2"
    assert "not yet" in ready.client.run("tasks", "logs", "behaviour", behaved, "retried", "--try", "1")
    assert "no use trying again" in ready.client.run("tasks", "logs", "behaviour", behaved, "failed")


def test_why_names_what_a_task_waits_for(ready: Standalone) -> None:
    run_id = ready.client.trigger("waiting")
    ready.client.wait_for_task("waiting", run_id, "first", "running")
    eventually("the full pool", lambda: "single" in ready.client.why("waiting", run_id, "second"))
    assert "first" in ready.client.why("waiting", run_id, "third")
    assert "nobody_serves_this" in ready.client.why("waiting", run_id, "nobody")
    assert "no_such_pool" in ready.client.why("waiting", run_id, "poolless")
    assert "runs on worker" in ready.client.why("waiting", run_id, "first")
    # The log of a running task can be read while it runs.
    ready.client.run("tasks", "logs", "waiting", run_id, "first")
    (ready.folder / "go").touch()
    ready.client.wait_for_task("waiting", run_id, "third", "success")
    ready.client.wait_for_task("waiting", run_id, "second", "success")
    ready.client.run("pools", "set", "no_such_pool", "1", "now it exists")
    ready.client.wait_for_task("waiting", run_id, "poolless", "success")


def test_clearing_runs_a_task_and_what_follows_again(ready: Standalone, behaved: str) -> None:
    ready.client.run("tasks", "clear", "behaviour", "--run-id", behaved, "-t", "cleanup", "-y")
    row = eventually(
        "the second try of cleanup",
        lambda: (
            lambda row: row if row["state"] == "success" and row["try_number"] == 2 else None
        )(ready.client.tasks("behaviour", behaved)["cleanup"]),
    )
    assert row
    assert ready.client.finish("behaviour", behaved) == "success"


def test_a_paused_dag_waits(ready: Standalone) -> None:
    ready.client.run("dags", "pause", "behaviour")
    run_id = ready.client.json("dags", "trigger", "behaviour")["run_id"]
    assert "paused" in ready.client.why("behaviour", run_id, "retried")
    ready.client.run("dags", "unpause", "behaviour")
    ready.client.finish("behaviour", run_id)
