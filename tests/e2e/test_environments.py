"""Python environments of DAG files, built with uv from a real package index."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PATIENCE, Standalone, eventually, python, standalone, uv_env

#: A first build downloads a hundred packages and compiles them.
BUILD_PATIENCE = 6 * PATIENCE

REPORT = """
import sys
from datetime import timedelta
from airflow.sdk import DAG, task

import humanize

with DAG("{dag_id}", schedule=None{more}):
    @task
    def report():
        import shutil
        import humanize
        from importlib.metadata import version
        return {{
            "humanize": version("humanize"),
            "prefix": sys.prefix,
            "uses": humanize.naturalsize(1000000),
            "program": shutil.which("airflow"),
        }}

    @task(task_id="label_" + version_at_parse.replace(".", "_"))
    def at_parse():
        return version_at_parse

    report() >> at_parse()
"""


def dag_file(dag_id: str, more: str = "") -> str:
    head = 'from importlib.metadata import version\nversion_at_parse = version("humanize")\n'
    return head + REPORT.format(dag_id=dag_id, more=more)


def guests_in(folder: Path) -> list[int]:
    """Process ids of the interpreters that run from a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = entry.joinpath("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[0].startswith(str(folder).encode()):
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    env = {**uv_env(), "TRADEWIND__PYTHON__ENVIRONMENT_IDLE_SECS": "8"}
    with standalone(tmp_path_factory.mktemp("environments"), **env) as running:
        running.write("tradewind.toml", DECLARED)
        running.write("old/requirements.txt", "humanize==3.14.0\n")
        running.write("old/old.py", dag_file("old_library"))
        running.write("old/waits.py", WAITS)
        running.write("versions_plugin.py", PLUGIN)
        new = running.write("new/pyproject.toml", PROJECT)
        lock(new.parent)
        running.write("new/new.py", dag_file("new_library"))
        running.write("broken/requirements.txt", "humanize==99.0.0\n")
        running.write("broken/broken.py", dag_file("broken"))
        running.write("against/requirements.txt", "humanize\nsqlalchemy==1.3.0\n")
        running.write("against/against.py", dag_file("against"))
        running.write("plain.py", PLAIN)
        yield running.start()


def lock(project: Path) -> None:
    """Writes the uv.lock of a project."""
    beside = python().parent / "uv"
    uv = beside if beside.exists() else shutil.which("uv")
    assert uv, "no uv; run python/prepare.sh .venv"
    subprocess.run([uv, "lock", "--quiet", "--python", python()], cwd=project, check=True)
    assert "humanize" in project.joinpath("uv.lock").read_text()


DECLARED = """
[environments.old]
requirements = "old/requirements.txt"
files = ["old"]

[environments.new]
project = "new"
files = ["new/*.py"]

[environments.broken]
requirements = "broken/requirements.txt"
files = ["broken"]

[environments.against]
requirements = "against/requirements.txt"
files = ["against"]
"""

PROJECT = """
[project]
name = "new"
version = "1"
requires-python = ">=3.10"
dependencies = ["humanize==4.9.0"]
"""

PLAIN = """
import sys
from airflow.sdk import DAG, task

with DAG("plain", schedule=None):
    @task
    def report():
        return sys.prefix
    report()
"""

#: A timetable whose next run depends on the version of a library, and a trigger whose event does. Triggers must come from a
#: module that can be imported by name, as in Airflow.
PLUGIN = """
import asyncio
from importlib.metadata import version

import pendulum
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.triggers.base import BaseTrigger, TriggerEvent


class Versions(BaseTrigger):
    def serialize(self):
        return (f"{__name__}.Versions", {})

    async def run(self):
        await asyncio.sleep(0.1)
        yield TriggerEvent(version("humanize"))


class ByVersion(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return DagRunInfo.exact(pendulum.datetime(2090, 1, int(version("humanize").split(".")[1])))


class Plugin(AirflowPlugin):
    name = "versions"
    timetables = [ByVersion]
"""

#: What else runs for a DAG: a custom timetable, a trigger of its bundle, a callback.
WAITS = """
from importlib.metadata import version
from pathlib import Path

import pendulum
from airflow.sdk import DAG, BaseOperator
from versions_plugin import ByVersion, Versions


class Wait(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Versions(), method_name="after")

    def after(self, context, event):
        return event


def note(context):
    Path(context["dag_run"].conf["note"]).write_text(version("humanize"))


with DAG("waits", schedule=ByVersion(), start_date=pendulum.datetime(2020, 1, 1), on_success_callback=note):
    Wait(task_id="wait")
"""


def wait_for_dag(system: Standalone, dag_id: str) -> None:
    eventually(f"loading {dag_id}", lambda: system.client.dag(dag_id), BUILD_PATIENCE)


def report(system: Standalone, dag_id: str) -> dict:
    run_id = system.client.trigger(dag_id)
    assert system.client.finish(dag_id, run_id, BUILD_PATIENCE) == "success"
    return system.client.xcom(dag_id, run_id, "report")


def test_incompatible_versions_run_side_by_side(system: Standalone) -> None:
    # A file without an environment does not wait for those that are built.
    system.client.wait_for_dag("plain")
    own = report(system, "plain")
    assert system.client.json("dags", "details", "plain")["environment"] is None
    wait_for_dag(system, "old_library")
    wait_for_dag(system, "new_library")
    client = system.client
    assert client.json("dags", "details", "old_library")["environment"].startswith("old")
    old_run, new_run = client.trigger("old_library"), client.trigger("new_library")
    assert client.finish("old_library", old_run, BUILD_PATIENCE) == "success"
    assert client.finish("new_library", new_run, BUILD_PATIENCE) == "success"
    old, new = client.xcom("old_library", old_run, "report"), client.xcom("new_library", new_run, "report")
    assert (old["humanize"], new["humanize"]) == ("3.14.0", "4.9.0")
    assert len({own, old["prefix"], new["prefix"]}) == 3
    # One worker, whose environments the DAG processor uses as well.
    environments = system.home / "worker/environments"
    assert Path(old["prefix"]).parent == environments
    assert old["program"] == f"{old['prefix']}/bin/airflow"
    # The files were loaded in them, too.
    assert "label_3_14_0" in client.states("old_library", old_run)
    assert "label_4_9_0" in client.states("new_library", new_run)


def test_failed_builds_are_import_errors_of_their_files_only(system: Standalone) -> None:
    def both() -> dict[str, str] | None:
        errors = system.client.import_errors()
        return errors if len(errors) == 2 else None

    errors = eventually("two import errors", both)
    assert isinstance(errors, dict)
    broken, against = errors["broken/broken.py"], errors["against/against.py"]
    assert 'environment "broken" (tradewind.toml) cannot be built from broken/requirements.txt' in broken
    assert "humanize==99.0.0" in broken
    # A contradiction with what the guest needs says what that is.
    assert "sqlalchemy" in against and "apache-airflow-core 3.3.2" in against
    assert system.process
    assert str(system.home) not in broken + against

    # Mended, it loads: with a definition that is there already, nothing is built.
    before = system.process.text().count("a Python environment is built")
    system.write("broken/requirements.txt", "humanize==3.14.0\n")
    wait_for_dag(system, "broken")
    assert system.process.text().count("a Python environment is built") == before
    system.write("tradewind.toml", DECLARED.split("[environments.against]")[0])
    shutil.rmtree(system.dags / "against")
    eventually("no import errors", lambda: not system.client.import_errors())


def test_timetables_triggers_and_callbacks_use_the_environment(system: Standalone, tmp_path: Path) -> None:
    wait_for_dag(system, "waits")
    system.client.run("dags", "unpause", "waits")
    day = eventually("the next run", lambda: system.client.dag("waits")["next_run"])
    assert str(day).startswith("2090-01-14")
    note = tmp_path / "note"
    run_id = system.client.trigger("waits", "--conf", json.dumps({"note": str(note)}))
    assert system.client.finish("waits", run_id, BUILD_PATIENCE) == "success"
    assert system.client.xcom("waits", run_id, "wait") == "3.14.0"
    eventually("the callback", note.exists)
    assert note.read_text() == "3.14.0"


def test_a_changed_definition_is_a_new_version(system: Standalone) -> None:
    wait_for_dag(system, "old_library")
    before = {dag: system.client.dag(dag)["version"] for dag in ("old_library", "new_library", "plain")}
    run_id = system.client.trigger("old_library")
    assert system.client.finish("old_library", run_id, BUILD_PATIENCE) == "success"
    system.write("old/requirements.txt", "humanize==4.0.0\n")
    eventually(
        "a new version",
        lambda: system.client.dag("old_library")["version"] != before["old_library"],
        BUILD_PATIENCE,
    )
    # The timetable of another file is asked in the environment, too: 4.0.0 has no day that it could make of it.
    process = system.process
    assert process
    eventually("the timetable's answer", lambda: "day is out of range for month" in process.text(), BUILD_PATIENCE)
    assert report(system, "old_library")["humanize"] == "4.0.0"
    # The others do not depend on that file.
    assert system.client.dag("new_library")["version"] == before["new_library"]
    assert system.client.dag("plain")["version"] == before["plain"]
    # A run that goes on does so in the environment that it began in.
    system.client.run("tasks", "clear", "old_library", "--run-id", run_id, "--yes")
    eventually("the run starts again", lambda: system.client.run_state("old_library", run_id) != "success")
    assert system.client.finish("old_library", run_id, BUILD_PATIENCE) == "success"
    assert system.client.xcom("old_library", run_id, "report")["humanize"] == "3.14.0"


def test_idle_processes_end_and_a_restart_builds_nothing(system: Standalone) -> None:
    environments = system.home / "worker/environments"
    prefix = Path(report(system, "new_library")["prefix"])
    assert guests_in(prefix)
    eventually("the end of idle processes", lambda: not guests_in(environments))
    assert report(system, "new_library")["humanize"] == "4.9.0"

    assert system.process
    assert system.stop() == 0
    assert not guests_in(environments)
    before = len(system.process.text())
    system.start()
    assert report(system, "new_library")["humanize"] == "4.9.0"
    files = ("new/new.py", "old/old.py", "old/waits.py", "broken/broken.py")

    def log() -> str:
        assert system.process
        return system.process.text()[before:]

    eventually("all files", lambda: all(f'published file="{file}" dags=1' in log() for file in files))
    assert "building a Python environment" not in log()
    assert not system.client.import_errors()
