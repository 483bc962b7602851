"""Triggers in the event loop of a real host process: what becomes of each, however it behaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisor import Supervisor, TriggerHost

TRIGGERS = """
import asyncio, datetime, sys, time
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

class Base(BaseTrigger):
    def __init__(self, **kwargs):
        super().__init__()
        self.kwargs = kwargs
    def serialize(self):
        return (f"{type(self).__module__}.{type(self).__qualname__}", self.kwargs)

class Echo(Base):
    async def run(self):
        await asyncio.sleep(0)
        yield TriggerEvent(self.kwargs["payload"])

class Ends(Base):
    async def run(self):
        yield TaskSuccessEvent(xcoms={"return_value": {"n": 1}})

class Fails(Base):
    async def run(self):
        yield TaskFailedEvent()

class Unmakeable(Base):
    def __init__(self, **kwargs):
        raise ValueError("cannot be made")
    async def run(self):
        yield TriggerEvent(1)

class Raises(Base):
    async def run(self):
        raise RuntimeError("in the middle")
        yield

class Exits(Base):
    async def run(self):
        sys.exit(3)
        yield

class Silent(Base):
    async def run(self):
        return
        yield

class Rubbish(Base):
    async def run(self):
        yield TriggerEvent(object())

class NoEvent(Base):
    async def run(self):
        yield "just text"

class NotAsync(Base):
    def run(self):
        return TriggerEvent(1)

class SelfCancelled(Base):
    async def run(self):
        raise asyncio.CancelledError
        yield

class Forever(Base):
    async def run(self):
        print("waits for", self.kwargs["what"])
        await asyncio.sleep(1000)
        yield TriggerEvent(1)
    async def cleanup(self):
        self.log.info("cleaned up %s", self.kwargs["what"])
    async def on_kill(self):
        self.log.info("killed %s", self.kwargs["what"])

class Asks(Base):
    async def run(self):
        from asgiref.sync import sync_to_async
        from airflow.sdk import Variable
        loop = asyncio.get_running_loop()
        yield TriggerEvent([
            Variable.get("direct"),
            await asyncio.to_thread(Variable.get, "thread"),
            await sync_to_async(Variable.get)("asgiref"),
            await loop.run_in_executor(None, Variable.get, "executor"),
        ])

class Blocks(Base):
    async def run(self):
        time.sleep(self.kwargs["seconds"])
        yield TriggerEvent("done")

class Templated(Base):
    def __init__(self, path):
        super().__init__()
        self.path = path
    async def run(self):
        yield TriggerEvent(self.path)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "own_triggers.py").write_text(TRIGGERS)
    return folder


@pytest.fixture
def host(supervisor: Supervisor, bundle: Path) -> Iterator[TriggerHost]:
    running = TriggerHost(supervisor, bundle)
    yield running
    running.close()


def run(host: TriggerHost, name: str, **kwargs: Any) -> dict[str, Any]:
    host.start(1, f"own_triggers.{name}", kwargs)
    done = host.hear()
    assert (done["type"], done["number"]) == ("TriggerDone", 1)
    return done


def test_an_event_is_serialized(host: TriggerHost) -> None:
    assert run(host, "Echo", payload={"a": [1, None]})["event"] == {"a": [1, None]}


def test_kwargs_and_events_keep_their_types(host: TriggerHost) -> None:
    moment = {
        "__classname__": "pendulum.datetime.DateTime",
        "__version__": 2,
        "__data__": {"timestamp": 1.5, "tz": {"__classname__": "builtins.tuple", "__version__": 1,
                                              "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, True]}},
    }
    assert run(host, "Echo", payload=moment)["event"] == moment


def test_task_end_events_end_the_task(host: TriggerHost) -> None:
    done = run(host, "Ends")
    assert (done["outcome"], done["state"], done["xcoms"]) == ("ended", "success", {"return_value": {"n": 1}})
    assert run(host, "Fails")["state"] == "failed"


@pytest.mark.parametrize(
    ("name", "stage", "text"),
    [
        ("Missing", "load", "own_triggers"),
        ("Base.serialize", "load", "Base"),
        ("Unmakeable", "load", "cannot be made"),
        ("Raises", None, "RuntimeError: in the middle"),
        ("Exits", None, "SystemExit: 3"),
        ("Silent", None, "ended without an event"),
        ("Rubbish", None, "object"),
        ("NoEvent", None, "not a TriggerEvent"),
        ("NotAsync", None, "async for"),
        ("SelfCancelled", None, "CancelledError"),
    ],
)
def test_failures_are_told(host: TriggerHost, name: str, stage: str | None, text: str) -> None:
    done = run(host, name)
    assert (done["outcome"], done.get("stage"), done["error"]) == ("failed", stage, "Trigger failure")
    assert text in "\n".join(done["traceback"])
    # The others go on.
    host.start(2, "own_triggers.Echo", {"payload": 2})
    assert host.hear()["event"] == 2


def test_a_cancelled_trigger_cleans_up(host: TriggerHost) -> None:
    for number, kill in ((1, False), (2, True)):
        host.start(number, "own_triggers.Forever", {"what": f"n{number}"})
        host.start(9, "own_triggers.Echo", {"payload": 9})
        assert host.hear()["number"] == 9
        host.cancel(number, kill)
        assert host.hear()["outcome"] == "cancelled"
        texts = [line["event"] for line in host.log(number)]
        assert f"waits for n{number}" in texts
        assert f"cleaned up n{number}" in texts
        assert (f"killed n{number}" in texts) == kill


def test_questions_name_the_trigger_that_asks(host: TriggerHost) -> None:
    host.start(1, "own_triggers.Asks", {})
    host.start(2, "own_triggers.Asks", {})
    events = {done["number"]: done["event"] for done in (host.hear(), host.hear())}
    for number in (1, 2):
        assert events[number] == [f"{way} of {number}" for way in ("direct", "thread", "asgiref", "executor")]


def test_triggers_of_provider_packages_need_no_bundle(supervisor: Supervisor, tmp_path: Path) -> None:
    host = TriggerHost(supervisor, None)
    providers = "airflow.providers.standard.triggers"
    awaited = tmp_path / "awaited"
    host.start(1, f"{providers}.file.FileTrigger", {"filepath": str(awaited), "poke_interval": 0.1})
    host.start(2, f"{providers}.external_task.DagStateTrigger", {
        "dag_id": "other", "states": ["success"], "run_ids": ["r"], "execution_dates": None, "poll_interval": 0.1,
    })
    runs = host.hear()
    assert (runs["number"], runs["outcome"]) == (2, "event"), runs
    assert host.questions == [("GetDRCount", 2), ("GetDagRunState", 2)]
    awaited.touch()
    assert host.hear()["event"] is True
    host.close()


def test_a_short_block_is_blamed_on_the_culprit(host: TriggerHost) -> None:
    host.start(1, "own_triggers.Forever", {"what": "others"})
    host.start(2, "own_triggers.Blocks", {"seconds": 1.5})
    assert host.hear()["event"] == "done"
    [line] = [line for line in host.log(2) if "held up the event loop" in line["event"]]
    assert "time.sleep" in line["stack"]


def test_a_long_block_ends_the_process_and_names_the_culprit(supervisor: Supervisor, bundle: Path) -> None:
    host = TriggerHost(supervisor, bundle, block_limit_secs=1.5)
    host.start(1, "own_triggers.Forever", {"what": "others"})
    host.start(2, "own_triggers.Blocks", {"seconds": 1000})
    with pytest.raises(EOFError):
        host.hear()
    assert supervisor.wait_event("exited", host.job.number)["code"] == 86
    assert [line["trigger_id"] for line in host.log(0) + host.log_lines if line.get("blocked")] == [2]


def test_a_thousand_wait_in_one_process(host: TriggerHost) -> None:
    for number in range(1, 1001):
        host.start(number, "own_triggers.Forever", {"what": str(number)})
    host.start(1001, "own_triggers.Echo", {"payload": "quick"})
    assert host.hear()["event"] == "quick"
    for number in range(1, 1001):
        host.cancel(number)
    assert {host.hear()["number"] for _ in range(1000)} == set(range(1, 1001))


def test_templates_are_rendered_where_no_worker_did(supervisor: Supervisor, host: TriggerHost, bundle: Path) -> None:
    from supervisor import startup

    (bundle / "starts.py").write_text("""
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.triggers.base import StartTriggerArgs
class Starts(BaseOperator):
    template_fields = ("path",)
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(trigger_cls="own_triggers.Templated", next_method="done", trigger_kwargs={"path": "{{ ds }}"})
    def __init__(self, path, **kwargs):
        super().__init__(**kwargs)
        self.path = path
with DAG("d"):
    Starts(task_id="t", path="x")
""")
    context = startup("d", "t", "starts.py")["ti_context"]
    host.start(1, "own_triggers.Templated", {"path": "{{ ds }}"}, {"dag_rel_path": "starts.py", "ti_context": context})
    assert host.hear()["event"] == "2026-01-02"
