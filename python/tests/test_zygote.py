"""The zygote forks, reaps, and kills; real tasks under the SDK's task runner."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from supervisor import Supervisor, startup

DAG = """
import os, subprocess, sys, time
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
with DAG("d"):
    BashOperator(task_id="bash", bash_command="echo {{ ds }}")
    PythonOperator(task_id="exit", python_callable=os._exit, op_args=[5])
    PythonOperator(task_id="say", python_callable=lambda: print("out", os.getcwd(), os.getpgid(0) == os.getpid()))
    PythonOperator(task_id="modules", python_callable=lambda: [m for m in sys.modules if m.startswith("tradewind")])
    def daemon():
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return child.pid
    PythonOperator(task_id="daemon", python_callable=daemon)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d.py").write_text(DAG)
    return tmp_path


def test_a_task_speaks_the_protocol(supervisor: Supervisor, root: Path) -> None:
    result = supervisor.task(root, "d.py", "d", "bash")
    assert result.types() == ["SetRenderedFields", "SetXCom", "SucceedTask"]
    assert result.messages[1]["value"] == "2026-01-02"
    assert result.exit["code"] == 0
    assert result.exit["max_rss"] > 2**20
    assert any(line["event"] == "2026-01-02" for line in result.logs)


def test_an_exit_code_is_reported(supervisor: Supervisor, root: Path) -> None:
    result = supervisor.task(root, "d.py", "d", "exit")
    assert result.exit["code"] == 5
    assert result.types() == ["SetRenderedFields"]


def test_a_task_has_its_folder_and_its_group(supervisor: Supervisor, root: Path) -> None:
    result = supervisor.task(root, "d.py", "d", "say")
    assert result.stdout.decode() == f"out {supervisor.home} True\n"


def test_orphans_in_other_sessions_are_killed(supervisor: Supervisor, root: Path) -> None:
    result = supervisor.task(root, "d.py", "d", "daemon")
    [pid] = [message["value"] for message in result.messages if message["type"] == "SetXCom"]
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, "the orphan still runs"
        time.sleep(0.05)


def test_nothing_of_airflow_is_left_in_its_home(supervisor: Supervisor, root: Path) -> None:
    supervisor.task(root, "d.py", "d", "bash")
    assert {path.name for path in supervisor.home.iterdir()} <= {"bytecode", "bundles"}


def test_the_zygote_is_single_threaded(supervisor: Supervisor) -> None:
    assert len(os.listdir(f"/proc/{supervisor.ready['pid']}/task")) == 1


def test_an_unknown_job_cannot_be_killed(supervisor: Supervisor, root: Path) -> None:
    supervisor.order(op="kill", id=999_999, signal=9, tree=True)
    assert supervisor.task(root, "d.py", "d", "say").exit["code"] == 0


def test_the_end_of_the_supervisor_is_the_end_of_all(root: Path, tmp_path: Path) -> None:
    (root / "d.py").write_text(DAG + """
    PythonOperator(task_id="sleep", python_callable=lambda: time.sleep(1000))
""")
    supervisor = Supervisor(tmp_path / "home")
    job = supervisor.fork(
        "task",
        {
            "env": {},
            "bundle_name": "dags",
            "bundle_dir": str(root),
            "working_dir": str(root),
            "bytecode_dir": None,
        },
    )
    pid = supervisor.wait_event("forked", job.number)["pid"]
    job.reply(0, startup("d", "sleep", "d.py"))
    assert b"Pre Execute" in job.logs.recv(65536)
    supervisor.close()
    assert supervisor.process.returncode == 0
    assert not os.path.exists(f"/proc/{pid}") or b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
