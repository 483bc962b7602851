"""Files are parsed in children of a real zygote. The Rust tests hold the longer list of broken files."""

from __future__ import annotations

from pathlib import Path

from supervisor import Supervisor

DAG = """
import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
with DAG("one", schedule="@hourly", start_date=datetime.datetime(2026, 1, 1)):
    EmptyOperator(task_id="a", pool="p", queue="q", retries=3) >> EmptyOperator(task_id="b", trigger_rule="all_done")
"""


def test_what_serialization_gives(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(DAG)
    result = supervisor.parse(tmp_path, "one.py")
    assert result["errors"] == []
    assert not result["skipped"]
    [dag] = result["dags"]
    tasks = {task["__var"]["task_id"]: task["__var"] for task in dag["dag"]["tasks"]}
    assert (tasks["a"]["pool"], tasks["a"]["queue"], tasks["a"]["retries"]) == ("p", "q", 3)
    assert tasks["a"]["downstream_task_ids"] == ["b"]
    assert tasks["b"]["trigger_rule"] == "all_done"
    assert dag["dag"]["timetable"]["__var"]["expression"] == "0 * * * *"


def test_nothing_is_written_beside_the_file(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(DAG + "import beside\n")
    (tmp_path / "beside.py").write_text("")
    result = supervisor.parse(tmp_path, "one.py")
    assert result["imported_files"] == [str(tmp_path / "beside.py")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside.py", "one.py"]


def test_a_file_without_dags_is_not_run(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("raise RuntimeError('must not run')")
    result = supervisor.parse(tmp_path, "other.py")
    assert result["skipped"]
    assert result["errors"] == []


def test_a_database_is_out_of_reach(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "db.py").write_text(
        "from airflow.utils.session import create_session\nfrom airflow.sdk import DAG\nwith create_session(): pass\n"
    )
    result = supervisor.parse(tmp_path, "db.py")
    assert result["dags"] == []
    assert result["errors"][0]["line"] == 3


def test_the_memory_limit_is_that_of_the_request(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text("from airflow.sdk import DAG\nx = bytearray(300 << 20)\nd = DAG('big')\n")
    assert supervisor.parse(tmp_path, "big.py")["errors"] == []
    [error] = supervisor.parse(tmp_path, "big.py", memory_limit_bytes=100 << 20)["errors"]
    assert error["line"] == 2
    assert "(100 MiB)" in error["message"]


def test_a_crash_is_told_by_the_exit_and_the_output(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text("from airflow.sdk import DAG\nimport ctypes\nctypes.string_at(0)\n")
    result = supervisor.parse(tmp_path, "crash.py")
    assert result["exit"]["signal"] == 11
    assert "Fatal Python error: Segmentation fault" in result["output"]
