"""Waiting without a slot: sensors, deferrable operators with triggers on the worker, timers, and people."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from e2e_tools import HEAD, instances, states, wait_for, xcoms
from harness import Standalone, eventually, standalone

MANY = 200
SLOTS = 4

TRIGGERS = '''
"""Triggers of the DAGs beside this file."""

import asyncio
import os
import pathlib

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

HERE = pathlib.Path("{folder}")


class Echo(BaseTrigger):
    def __init__(self, payload, seconds=0.5):
        super().__init__()
        self.payload, self.seconds = payload, seconds

    def serialize(self):
        return "waiting_triggers.Echo", {{"payload": self.payload, "seconds": self.seconds}}

    async def run(self):
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(self.payload)


class Ends(Echo):
    """Ends its task by itself: nothing is resumed."""

    def serialize(self):
        return "waiting_triggers.Ends", {{"payload": self.payload, "seconds": self.seconds}}

    async def run(self):
        await asyncio.sleep(self.seconds)
        yield TaskSuccessEvent(xcoms={{"return_value": self.payload}})


class Raises(Echo):
    def serialize(self):
        return "waiting_triggers.Raises", {{"payload": self.payload, "seconds": self.seconds}}

    async def run(self):
        raise ValueError(self.payload)
        yield TriggerEvent(None)


class Silent(Echo):
    def serialize(self):
        return "waiting_triggers.Silent", {{"payload": self.payload, "seconds": self.seconds}}

    async def run(self):
        if False:
            yield TriggerEvent(None)


class Watched(Echo):
    """Writes down its process, and waits for a file."""

    def serialize(self):
        return "waiting_triggers.Watched", {{"payload": self.payload, "seconds": self.seconds}}

    async def run(self):
        with (HERE / "hosts").open("a") as hosts:
            hosts.write(f"{{os.getpid()}}\\n")
        while not (HERE / "watched").exists():
            await asyncio.sleep(0.05)
        yield TriggerEvent(self.payload)
'''

DAGS = """
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, Param
from airflow.triggers.base import StartTriggerArgs

import waiting_triggers


class Defers(BaseOperator):
    def __init__(self, *, trigger, timeout=None, **more):
        super().__init__(**more)
        self.trigger, self.patience = trigger, timeout

    def execute(self, context):
        kinds = {{
            "echo": lambda: waiting_triggers.Echo({{"got": 1}}),
            "raises": lambda: waiting_triggers.Raises("this trigger raises"),
            "silent": lambda: waiting_triggers.Silent("x"),
            "never": lambda: waiting_triggers.Echo("late", 600),
            "watched": lambda: waiting_triggers.Watched("seen"),
            "timer": lambda: TimeDeltaTrigger(timedelta(seconds=1)),
        }}
        self.defer(trigger=kinds[self.trigger](), method_name="resume", timeout=self.patience)

    def resume(self, context, event=None):
        return event if isinstance(event, (dict, str)) else type(event).__name__


class Begins(BaseOperator):
    start_from_trigger = True

    def __init__(self, *, number, **more):
        super().__init__(**more)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="waiting_triggers.Ends", trigger_kwargs={{"payload": number, "seconds": 5.0}},
            next_method="resume", next_kwargs=None, timeout=None,
        )

    def execute(self, context):
        raise RuntimeError("never called")


with DAG("sensors", schedule=None):
    go = HERE / "go"
    PythonSensor(task_id="poke", python_callable=go.exists, poke_interval=0.1, timeout=60)
    PythonSensor(task_id="again", python_callable=go.exists, poke_interval=0.5, timeout=60, mode="reschedule")
    PythonSensor(task_id="gives_up", python_callable=lambda: False, poke_interval=0.1, timeout=0.3)
    PythonSensor(task_id="soft", python_callable=lambda: False, poke_interval=0.1, timeout=0.3, soft_fail=True)

with DAG("deferred", schedule=None):
    Defers(task_id="echo", trigger="echo")
    Defers(task_id="timer", trigger="timer")
    Defers(task_id="raises", trigger="raises")
    Defers(task_id="silent", trigger="silent")
    Defers(task_id="timed_out", trigger="never", timeout=timedelta(seconds=1))

with DAG("watched", schedule=None):
    Defers(task_id="wait", trigger="watched")

with DAG("many", schedule=None, max_active_tasks=1000):
    for number in range({many}):
        Begins(task_id=f"wait_{{number}}", number=number)

with DAG("beside", schedule=None):
    PythonOperator(task_id="a", python_callable=print)

with DAG("people", schedule=None, params={{"who": "you"}}):
    ApprovalOperator(task_id="approve", subject="May {{{{ params.who }}}} go on?") >> EmptyOperator(task_id="after")
    HITLOperator(
        task_id="choose", subject="Which?", options=["red", "blue"], multiple=True,
        params={{"count": Param(1, type="integer", maximum=5)}},
    )
    HITLOperator(
        task_id="late", subject="Soon?", options=["yes", "no"], defaults="no", response_timeout=timedelta(seconds=2)
    )
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("waiting"), TRADEWIND__WORKER__SLOTS=str(SLOTS)) as system:
        system.write("waiting_triggers.py", TRIGGERS.format(folder=system.folder))
        system.write("waiting.py", (HEAD + DAGS).format(folder=system.folder, many=MANY))
        system.start()
        system.client.wait_for_dag("people")
        yield system


def test_sensors_wait_give_up_and_free_their_slot_between_pokes(ready: Standalone) -> None:
    client = ready.client
    run_id = client.trigger("sensors")
    wait_for(client, "sensors", run_id, "again", "up_for_reschedule")
    assert "pokes again" in client.why("sensors", run_id, "again")
    (ready.folder / "go").touch()
    assert client.finish("sensors", run_id) == "failed"
    found = instances(client, "sensors", run_id)
    assert {name: row["state"] for name, row in found.items()} == {
        "poke": "success",
        "again": "success",
        "gives_up": "failed",
        "soft": "skipped",
    }
    assert found["again"]["try_number"] == 1 and found["again"]["reschedules"] >= 1


def test_deferred_tasks_resume_with_their_event(ready: Standalone) -> None:
    client = ready.client
    run_id = client.trigger("deferred")
    waiting = wait_for(client, "deferred", run_id, "timed_out", "deferred")
    assert waiting["deferral"]["trigger"]["type"] == "hosted"
    assert "waiting_triggers.Echo" in client.why("deferred", run_id, "timed_out")
    assert client.finish("deferred", run_id) == "failed"
    assert states(client, "deferred", run_id) == {
        "echo": "success",
        "timer": "success",
        "raises": "failed",
        "silent": "failed",
        "timed_out": "failed",
    }
    assert client.xcom("deferred", run_id, "echo") == {"got": 1}
    assert client.xcom("deferred", run_id, "timer") == "DateTime"
    assert instances(client, "deferred", run_id)["echo"]["try_number"] == 1, "a wait is no try"


def test_a_bad_trigger_fails_its_task_with_a_clear_message(ready: Standalone) -> None:
    client = ready.client
    run_id = client.json("dags", "list-runs", "deferred")[0]["run_id"]
    logs = {name: client.run("tasks", "logs", "deferred", run_id, name) for name in ("raises", "silent", "timed_out")}
    assert "this trigger raises" in logs["raises"]
    assert "TaskDeferralError" in logs["raises"] and "TaskDeferralError" in logs["silent"]
    assert "timeout" in logs["timed_out"].lower()


def test_the_waits_of_a_lost_host_move(ready: Standalone) -> None:
    client = ready.client
    hosts = ready.folder / "hosts"
    run_id = client.trigger("watched")
    eventually("the first host", lambda: hosts.exists() and hosts.read_text())
    wait_for(client, "watched", run_id, "wait", "deferred")
    eventually("the host's name", lambda: "hosted by" in client.why("watched", run_id, "wait"))
    assert sum(worker["triggers"] for worker in client.json("workers", "list")) >= 1
    os.kill(int(hosts.read_text().split()[0]), signal.SIGKILL)
    eventually("another host", lambda: len(set(hosts.read_text().split())) == 2)
    (ready.folder / "watched").touch()
    assert client.finish("watched", run_id) == "success"
    assert client.xcom("watched", run_id, "wait") == "seen"


def test_hundreds_of_waits_hold_no_slot_and_need_no_process(ready: Standalone) -> None:
    client = ready.client
    run_id = client.trigger("many")
    deferred = eventually(
        "most of the waits at once",
        lambda: sum(state == "deferred" for state in states(client, "many", run_id).values()) > MANY // 2,
    )
    assert deferred
    # With more waits than slots, an ordinary task finds one at once.
    beside = client.trigger("beside")
    assert client.finish("beside", beside) == "success"
    assert sum(state == "deferred" for state in states(client, "many", run_id).values()) > SLOTS
    assert client.finish("many", run_id) == "success"
    assert xcoms(client, "many", run_id, f"wait_{MANY - 1}") == [MANY - 1]


def test_people_are_asked_and_answer(ready: Standalone) -> None:
    client = ready.client
    run_id = client.trigger("people")
    for name in ("approve", "choose"):
        wait_for(client, "people", run_id, name, "awaiting_input")
    asked = {row["task_id"]: row for row in client.json("tasks", "questions", "people", run_id)}
    assert asked["approve"]["subject"] == "May you go on?" and asked["approve"]["options"] == ["Approve", "Reject"]
    assert "May you go on?" in client.why("people", run_id, "approve")

    slip = client.fails("tasks", "answer", "people", run_id, "approve", "--choose", "Aprove")
    assert slip.code == 2 and 'did you mean "Approve"' in slip.stderr, slip.stderr
    client.run("tasks", "answer", "people", run_id, "approve", "--choose", "Approve")
    twice = client.fails("tasks", "answer", "people", run_id, "approve", "--choose", "Reject")
    assert twice.code == 5, twice.stderr

    broken = client.fails("tasks", "answer", "people", run_id, "choose", "--choose", "red", "--param", "count=6")
    assert broken.code == 2 and "count" in broken.stderr, broken.stderr
    client.run("tasks", "answer", "people", run_id, "choose", "--choose", "red", "blue", "--param", "count=4")

    assert client.finish("people", run_id) == "success"
    answer = client.xcom("people", run_id, "choose")
    assert (answer["chosen_options"], answer["params_input"]) == (["red", "blue"], {"count": 4})
    late = client.xcom("people", run_id, "late")
    assert late["chosen_options"] == ["no"], "nobody answered in time"
    assert client.json("tasks", "questions", "people", run_id) == []
    assert "nobody anything" in client.fails("tasks", "answer", "people", run_id, "after", "--choose", "x").stderr
