"""Retries, failures, and callbacks of tasks, DAGs and deadlines; callbacks that raise, hang, or lose their process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_tools import HEAD, instances, states
from harness import Standalone, eventually, standalone

DAGS = """
import signal

from airflow.sdk import AsyncCallback, BaseNotifier, DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowException

import callback_tools
from callback_tools import note


class Notifies(BaseNotifier):
    template_fields = ("message",)

    def __init__(self, message):
        super().__init__()
        self.message = message

    def notify(self, context):
        note("notifier", context, message=self.message)


def on(kind):
    return lambda context: note(kind, context, reason=context.get("reason"))


def callback_that_raises(context):
    raise RuntimeError("this callback raises")


def callback_that_hangs(context):
    note("hangs", context)
    time.sleep(600)


def fails():
    raise ValueError("as planned")


def skips():
    raise AirflowSkipException("nothing to do")


def hangs_once():
    (HERE / "begun").touch()
    time.sleep(600)


EVERY = {{
    "on_execute_callback": on("execute"), "on_success_callback": on("success"), "on_failure_callback": on("failure"),
    "on_retry_callback": on("retry"), "on_skipped_callback": on("skipped"),
}}

with DAG("task_callbacks", schedule=None, default_args=EVERY):
    PythonOperator(task_id="good", python_callable=print)
    PythonOperator(task_id="bad", python_callable=fails, retries=1, retry_delay=timedelta(seconds=0))
    PythonOperator(task_id="skipped", python_callable=skips)
    PythonOperator(task_id="raising", python_callable=print, on_success_callback=callback_that_raises)
    PythonOperator(task_id="notifies", python_callable=print, on_success_callback=Notifies("{{{{ ti.task_id }}}} is done"))
    PythonOperator(task_id="mails", python_callable=fails, email="ops@example.com", email_on_failure=True)
    PythonOperator(task_id="too_slow", python_callable=lambda: time.sleep(60), execution_timeout=timedelta(seconds=1))

with DAG("lost_worker", schedule=None):
    PythonOperator(task_id="is_lost", python_callable=hangs_once, on_failure_callback=on("failure"))

with DAG("killed_process", schedule=None, default_args=EVERY):
    PythonOperator(
        task_id="dies", python_callable=lambda: os.kill(os.getpid(), signal.SIGKILL), retries=1,
        retry_delay=timedelta(seconds=0), email="ops@example.com", email_on_retry=False,
    )

with DAG("good_dag", schedule=None, on_success_callback=on("dag_success"), on_failure_callback=on("dag_failure")):
    PythonOperator(task_id="a", python_callable=print)

with DAG("bad_dag", schedule=None, on_success_callback=on("dag_success"), on_failure_callback=on("dag_failure")):
    PythonOperator(task_id="a", python_callable=fails) >> EmptyOperator(task_id="b")

with DAG("raising_callback", schedule=None, on_success_callback=callback_that_raises):
    EmptyOperator(task_id="a")

with DAG("hanging_callback", schedule=None, on_success_callback=callback_that_hangs):
    EmptyOperator(task_id="a")

with DAG(
    "deadline",
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=AsyncCallback(callback_tools.missed, kwargs={{"which": "soon"}}),
    ),
):
    BashOperator(task_id="slow", bash_command="until [ -e {folder}/deadline ]; do sleep 0.1; done")
"""

TOOLS = """
import json
import pathlib

JOURNAL = pathlib.Path("{folder}") / "journal"


def note(kind, context, **more):
    ti = context.get("ti") or context.get("task_instance")
    line = {{"kind": kind, "dag": context["dag"].dag_id, "task": ti.task_id if ti else None, **more}}
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps(line) + "\\n")


async def missed(which, **more):
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps({{"kind": "missed", "dag": "deadline", "which": which}}) + "\\n")
"""

MAIL = """
import json
import pathlib


def send_email(to, subject, html_content, **more):
    with (pathlib.Path("{folder}") / "journal").open("a") as journal:
        journal.write(json.dumps({{"kind": "mail", "dag": "task_callbacks", "to": to}}) + "\\n")
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("callbacks")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "mail_to_journal.py").write_text(MAIL.format(folder=folder))
    guests = {
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__EMAIL__EMAIL_BACKEND": "mail_to_journal.send_email",
    }
    env = {"TRADEWIND__WORKER__ENV": json.dumps(guests), "TRADEWIND__WORKER__CALLBACK_TIMEOUT_SECS": "3"}
    with standalone(folder, **env) as system:
        system.write("callback_tools.py", TOOLS.format(folder=folder))
        system.write("callbacks.py", (HEAD + DAGS).format(folder=folder))
        system.start()
        system.client.wait_for_dag("deadline")
        yield system


def journal(folder: Path) -> list[dict]:
    path = folder / "journal"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def noted(ready: Standalone, dag_id: str) -> list[str]:
    """What callbacks of a DAG wrote down: `task kind`."""
    return sorted(f"{row.get('task')} {row['kind']}" for row in journal(ready.folder) if row["dag"] == dag_id)


def callback(ready: Standalone, dag_id: str, run_id: str) -> dict:
    """The only callback of a run, once it is over."""

    def over() -> dict | None:
        (row,) = ready.client.json("callbacks", "list", dag_id, run_id)
        return row if row["state"] in ("success", "failed") else None

    try:
        found = eventually(f"the end of the callback of {dag_id}", over)
    except ValueError as error:
        raise AssertionError(f"{dag_id} has not one callback") from error
    assert isinstance(found, dict)
    return found


def run_to_end(ready: Standalone, dag_id: str) -> tuple[str, str]:
    run_id = ready.client.trigger(dag_id)
    return run_id, ready.client.finish(dag_id, run_id)


def test_tasks_call_back_for_each_outcome(ready: Standalone) -> None:
    run_id, state = run_to_end(ready, "task_callbacks")
    assert state == "failed"
    assert states(ready.client, "task_callbacks", run_id) == {
        "good": "success",
        "bad": "failed",
        "skipped": "skipped",
        "raising": "success",
        "notifies": "success",
        "mails": "failed",
        "too_slow": "failed",
    }
    assert noted(ready, "task_callbacks") == sorted(
        ["good execute", "good success", "bad execute", "bad execute", "bad retry", "bad failure"]
        + ["skipped execute", "skipped skipped", "raising execute", "notifies execute", "notifies notifier"]
        + ["mails execute", "mails failure", "None mail", "too_slow execute", "too_slow failure"]
    )
    (notified,) = [row for row in journal(ready.folder) if row["kind"] == "notifier"]
    assert notified["message"] == "notifies is done"
    assert "this callback raises" in ready.client.run("tasks", "logs", "task_callbacks", run_id, "raising")
    tries = instances(ready.client, "task_callbacks", run_id)
    assert (tries["bad"]["try_number"], tries["too_slow"]["try_number"]) == (2, 1)


def test_what_killed_the_process_kept_it_from_calling_a_worker_calls_back(ready: Standalone) -> None:
    """Out of memory, say. Airflow calls nobody then."""
    mails = len([row for row in journal(ready.folder) if row["kind"] == "mail"])
    run_id, state = run_to_end(ready, "killed_process")
    assert state == "failed"

    def over() -> bool:
        rows = ready.client.json("callbacks", "list", "killed_process", run_id)
        return [row["state"] for row in rows] == ["success", "success"]

    eventually("two callbacks", over)
    expected = ["dies execute", "dies execute", "dies failure", "dies retry"]
    assert noted(ready, "killed_process") == expected
    assert len([row for row in journal(ready.folder) if row["kind"] == "mail"]) == mails + 1
    rows = ready.client.json("callbacks", "list", "killed_process", run_id)
    assert sorted(row["kind"] for row in rows) == ["task_failure", "task_retry"]


@pytest.mark.parametrize(("dag_id", "kind"), [("good_dag", "dag_success"), ("bad_dag", "dag_failure")])
def test_dags_call_back_once_at_their_end(ready: Standalone, dag_id: str, kind: str) -> None:
    run_id, _ = run_to_end(ready, dag_id)
    row = callback(ready, dag_id, run_id)
    assert (row["kind"], row["state"], row["attempt"]) == (kind, "success", 1)
    assert [row["kind"] for row in journal(ready.folder) if row["dag"] == dag_id] == [kind]


def test_a_callback_that_raises_fails_alone(ready: Standalone) -> None:
    run_id, state = run_to_end(ready, "raising_callback")
    assert state == "success"
    row = callback(ready, "raising_callback", run_id)
    assert row["state"] == "failed" and "this callback raises" in row["note"], row


def test_a_callback_that_hangs_is_killed(ready: Standalone) -> None:
    run_id, state = run_to_end(ready, "hanging_callback")
    assert state == "success"
    row = callback(ready, "hanging_callback", run_id)
    assert row["state"] == "failed" and row["note"], row
    assert len([row for row in journal(ready.folder) if row["kind"] == "hangs"]) == 1, "it is not repeated"


def test_a_missed_deadline_calls_back_while_the_run_goes_on(ready: Standalone) -> None:
    run_id = ready.client.trigger("deadline")
    eventually("the missed deadline", lambda: [row for row in journal(ready.folder) if row["kind"] == "missed"])
    assert ready.client.run_state("deadline", run_id) == "running"
    (ready.folder / "deadline").touch()
    assert ready.client.finish("deadline", run_id) == "success"
    row = callback(ready, "deadline", run_id)
    assert (row["kind"], row["state"]) == ("deadline", "success")
    assert [row["which"] for row in journal(ready.folder) if row["kind"] == "missed"] == ["soon"], "once"


def test_the_callback_of_a_task_whose_worker_was_lost_runs_all_the_same(ready: Standalone) -> None:
    run_id = ready.client.trigger("lost_worker")
    eventually("the beginning of the task", (ready.folder / "begun").exists)
    assert ready.process
    ready.process.kill()
    ready.start()
    assert ready.client.finish("lost_worker", run_id) == "failed"
    row = callback(ready, "lost_worker", run_id)
    assert (row["kind"], row["task_id"], row["state"]) == ("task_failure", "is_lost", "success"), row
    assert noted(ready, "lost_worker") == ["is_lost failure"]
