"""Python environments of DAG files, built with uv from a real package index."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PATIENCE, Standalone, eventually, standalone

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


def uv_env() -> dict[str, str]:
    """What uv needs to reach the index from here: its own settings and those of TLS and proxies."""
    names = ("UV_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}


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
    env = {**uv_env(), "TRADEWIND__PYTHON__ENVIRONMENT_IDLE_SECS": "4"}
    with standalone(tmp_path_factory.mktemp("environments"), **env) as running:
        running.write(
            "tradewind.toml",
            '[environments.old]\nrequirements = "old/requirements.txt"\nfiles = ["old"]\n\n'
            '[environments.new]\nproject = "new"\nfiles = ["new/*.py"]\n',
        )
        running.write("old/requirements.txt", "humanize==3.14.0\n")
        running.write("old/old.py", dag_file("old_library"))
        running.write("new/pyproject.toml", '[project]\nname = "new"\nversion = "1"\ndependencies = ["humanize==4.9.0"]\n')
        running.write("new/new.py", dag_file("new_library"))
        running.write("plain.py", PLAIN)
        yield running.start()


PLAIN = """
import sys
from airflow.sdk import DAG, task

with DAG("plain", schedule=None):
    @task
    def report():
        return sys.prefix
    report()
"""


def wait_for_dag(system: Standalone, dag_id: str) -> None:
    eventually(f"loading {dag_id}", lambda: system.client.dag(dag_id), BUILD_PATIENCE)


def report(system: Standalone, dag_id: str) -> dict:
    run_id = system.client.trigger(dag_id)
    assert system.client.finish(dag_id, run_id) == "success"
    return system.client.xcom(dag_id, run_id, "report")


def test_incompatible_versions_run_side_by_side(system: Standalone) -> None:
    # A file without an environment does not wait for those that are built.
    system.client.wait_for_dag("plain")
    own = report(system, "plain")
    wait_for_dag(system, "old_library")
    wait_for_dag(system, "new_library")
    client = system.client
    old_run, new_run = client.trigger("old_library"), client.trigger("new_library")
    assert client.finish("old_library", old_run) == "success"
    assert client.finish("new_library", new_run) == "success"
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
    assert not client.import_errors()
