"""Bad input: each gives a clear message, nothing is lost, and everything else keeps running."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import ROOT, Standalone, binary, clean_env, eventually, standalone

GOOD = """
dag_id: good
schedule: null
tasks:
  - id: only
    operator: bash
    command: echo fine
"""

HEAD = "from datetime import datetime\nfrom airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n"

BAD_FILES = {
    "syntax.py": ("from airflow.sdk import DAG\nwith DAG('x') as dag\n    pass\n", ["line 2"]),
    "endless.py": ("from airflow.sdk import DAG\nwhile True:\n    pass\n", ["line 2", "endless loop"]),
    "missing.py": ("from airflow.sdk import DAG\nimport no_such_module_anywhere\n", ["no_such_module_anywhere"]),
    "twice.py": (
        HEAD + "with DAG('twice'):\n    BashOperator(task_id='a', bash_command='true')\n"
        "    BashOperator(task_id='a', bash_command='true')\n",
        ["a"],
    ),
    "cycle.py": (
        HEAD + "with DAG('cycle'):\n    a = BashOperator(task_id='a', bash_command='true')\n"
        "    b = BashOperator(task_id='b', bash_command='true')\n    a >> b >> a\n",
        ["cycle"],
    ),
    "cron.py": (
        HEAD + "with DAG('cron', schedule='61 * * * *'):\n    BashOperator(task_id='a', bash_command='true')\n",
        ["61"],
    ),
    "field.yaml": ("dag_id: field\ntasks:\n  - id: a\n    operator: bash\n    comand: true\n", ["comand", "line 5"]),
    "cycle.yaml": (
        "dag_id: cyclic\ntasks:\n  - {id: a, operator: noop, depends_on: [b]}\n  - {id: b, operator: noop, depends_on: [a]}\n",
        ["a", "b"],
    ),
    "exit.py": ("from airflow.sdk import DAG\nimport os\nos._exit(3)\n", ["3"]),
}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory):
    with standalone(tmp_path_factory.mktemp("bad"), TRADEWIND__DAGS__PARSE_TIMEOUT_SECS="5") as system:
        system.write("good.yaml", GOOD)
        for name, (text, _) in BAD_FILES.items():
            system.write(name, text)
        system.start()
        eventually("all import errors", lambda: set(system.client.import_errors()) >= set(BAD_FILES))
        yield system


@pytest.mark.parametrize("name", sorted(BAD_FILES))
def test_a_bad_dag_file_gives_an_import_error_that_names_the_fault(spoiled: Standalone, name: str) -> None:
    message = spoiled.client.import_errors()[name]
    for part in BAD_FILES[name][1]:
        assert part in message, message


def test_the_good_dag_runs_beside_them(spoiled: Standalone) -> None:
    run_id = spoiled.client.trigger("good")
    assert spoiled.client.finish("good", run_id) == "success"


def test_a_broken_edit_keeps_the_last_good_version(spoiled: Standalone) -> None:
    spoiled.write("good.yaml", GOOD + "  - id: [\n")
    eventually("the import error", lambda: "good.yaml" in spoiled.client.import_errors())
    run_id = spoiled.client.trigger("good")
    assert spoiled.client.finish("good", run_id) == "success"
    spoiled.write("good.yaml", GOOD)
    eventually("the mend", lambda: "good.yaml" not in spoiled.client.import_errors())


def test_a_second_standalone_on_the_same_home_is_refused(spoiled: Standalone) -> None:
    done = subprocess.run(
        [binary(), "standalone", "--listen", "127.0.0.1:0"],
        env=spoiled.env, cwd=spoiled.folder, capture_output=True, text=True, timeout=30, check=False,
    )
    assert done.returncode != 0
    assert spoiled.process is not None
    assert str(spoiled.process.popen.pid) in done.stderr, done.stderr


def test_commands_refuse_bad_values(spoiled: Standalone) -> None:
    client = spoiled.client
    assert "JSON" in client.fails("dags", "trigger", "good", "-c", "{broken").stderr
    assert "object" in client.fails("dags", "trigger", "good", "-c", "[1]").stderr
    assert client.fails("dags", "trigger", "no_such_dag").code == 3
    assert client.fails("pools", "delete", "default_pool").code != 0
    assert client.fails("tasks", "logs", "good", "latest", "no_such_task").code == 3
    run_id = client.trigger("good", "--run-id", "mine")
    assert client.fails("dags", "trigger", "good", "--run-id", run_id).code != 0


def test_a_wrong_token_is_refused(spoiled: Standalone) -> None:
    spoiled.client.env["TRADEWIND__SECURITY__ADMIN_TOKEN"] = "x" * 40
    try:
        assert "token" in spoiled.client.fails("dags", "list").stderr
    finally:
        del spoiled.client.env["TRADEWIND__SECURITY__ADMIN_TOKEN"]


def test_no_scheduler_is_said_with_its_address(tmp_path: Path) -> None:
    env = clean_env(TRADEWIND__CLIENT__SCHEDULERS="http://127.0.0.1:9", TRADEWIND__SECURITY__ADMIN_TOKEN="x" * 40)
    done = subprocess.run(
        [binary(), "dags", "list"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[scheduler]\nparalelism = 3\n", ["paralelism", "parallelism", "2"]),
        ("[scheduler]\nparallelism = 'many'\n", ["parallelism"]),
        ("[scheduler\n", ["tradewind.toml"]),
    ],
)
def test_a_corrupt_configuration_names_the_line_and_key(tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "tradewind.toml").write_text(text)
    done = subprocess.run(
        [binary(), "--config", "tradewind.toml", "config", "show"],
        env=clean_env(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 2, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def test_distributed_roles_refuse_weak_or_missing_secrets(tmp_path: Path) -> None:
    env = clean_env(
        TRADEWIND__STORE__URL="postgres://127.0.0.1:9/none", TRADEWIND__QUEUE__URL="redis://127.0.0.1:9",
        TRADEWIND__SECURITY__ADMIN_TOKEN="admin", TRADEWIND__SECURITY__WORKER_TOKEN="worker",
    )
    done = subprocess.run(
        [binary(), "scheduler"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "security.admin_token" in done.stderr
    assert "security.fernet_key" in done.stderr


def test_a_full_disk_for_logs_fails_no_task(tmp_path: Path) -> None:
    """The log folder is a full file system; the task runs all the same."""
    with standalone(tmp_path) as system:
        system.write("good.yaml", GOOD)
        system.start()
        system.client.wait_for_dag("good")
        logs = system.home / "logs"
        assert logs.is_dir(), f"{logs} holds the logs"
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(logs)], check=False
        ).returncode == 0
        try:
            if not mounted:
                # Without the right to mount, the folder refuses writes: the same path through the code.
                logs.chmod(0o500)
            else:
                (logs / "filler").write_bytes(b"x" * 4096)
            run_id = system.client.trigger("good")
            assert system.client.finish("good", run_id) == "success"
        finally:
            if mounted:
                subprocess.run(["umount", str(logs)], check=True)
            else:
                logs.chmod(0o700)


def test_the_readme_names_only_commands_that_exist() -> None:
    """Every `make X` in the README is a target."""
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if line[:1].isalpha()}
    import re

    named = set(re.findall(r"`make (\w+)`", (ROOT / "README.md").read_text()))
    assert named <= targets, named - targets
