"""pytest with DagBag, dag.run() and the like: a run of pytest of its own, as a user has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = "tradewind_guest.compat.pytest_plugin"

DAG_FILE = """
import datetime
from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.utils.dates import days_ago

def give(ds, **context):
    context["ti"].xcom_push(key="mark", value=f"{ds} {context['execution_date']:%H:%M}")
    return 3

def take(**context):
    if context["ti"].xcom_pull(task_ids="give") != 3:
        raise ValueError("no 3")
    print("mark", context["ti"].xcom_pull(task_ids="give", key="mark"))

with DAG("daily", schedule_interval="0 6 * * *", start_date=datetime.datetime(2026, 1, 2), catchup=False) as dag:
    first = PythonOperator(task_id="give", python_callable=give)
    second = PythonOperator(task_id="take", python_callable=take, op_kwargs={"text": "{{ yesterday_ds }}"})
    first >> second
with DAG("broken", schedule_interval=None, start_date=days_ago(1)) as broken:
    PythonOperator(task_id="fails", python_callable=lambda: 1 / 0)
"""

TESTS = """
from datetime import datetime, timezone
import pytest
from airflow.executors.sequential_executor import SequentialExecutor
from airflow.models import DagBag, DagRun, TaskInstance, Variable
from airflow.utils.state import State

@pytest.fixture(scope="module")
def bag():
    return DagBag(include_examples=False)

def test_bag(bag):
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["broken", "daily"]
    dag = bag.get_dag("daily")
    assert dag.schedule_interval == "0 6 * * *"
    assert dag.concurrency == dag.max_active_tasks
    assert dag.following_schedule(datetime(2026, 1, 2, 6, tzinfo=timezone.utc)).isoformat() == "2026-01-03T06:00:00+00:00"
    assert [str(date)[:10] for date in dag.get_run_dates(datetime(2026, 1, 5), datetime(2026, 1, 6, 12))] == ["2026-01-05", "2026-01-06"]

def test_run_of_a_stretch(bag):
    dag = bag.get_dag("daily")
    dag.clear()
    dag.run(start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), executor=SequentialExecutor())
    # The DAG begins on the second.
    assert dag.tasks[0].get_task_instance(datetime(2026, 1, 1, 6)) is None
    for task in dag.tasks:
        assert task.get_task_instance(datetime(2026, 1, 2, 6)).state == State.SUCCESS
    [run] = DagRun.find(dag_id="daily", execution_date=datetime(2026, 1, 2, 6))
    assert run.execution_date == datetime(2026, 1, 2, 6, tzinfo=timezone.utc)
    assert len(dag.get_task_instances()) == 2
    assert dag.clear() == 2
    assert dag.get_task_instances()[0].state is None

def test_a_failure_is_told(bag):
    run = bag.get_dag("broken").test()
    assert run.state == State.FAILED

def test_one_task_instance(bag):
    dag = bag.get_dag("daily")
    ti = TaskInstance(task=dag.get_task("give"), execution_date=datetime(2026, 2, 2, 6))
    assert ti.get_template_context()["yesterday_ds"] == "2026-02-01"
    ti.run()
    assert ti.state == State.SUCCESS
    other = TaskInstance(dag.get_task("take"), datetime(2026, 2, 2, 6))
    assert other.render_templates().op_kwargs == {"text": "2026-02-01"}

def test_created_runs(bag):
    run = bag.get_dag("daily").create_dagrun(state=State.RUNNING, execution_date=datetime(2026, 3, 1), run_id="mine")
    assert sorted(ti.task_id for ti in run.get_task_instances()) == ["give", "take"]
    assert bag.get_dag("daily").get_dagrun(run_id="mine").run_id == "mine"

def test_execute_by_hand(bag):
    assert bag.get_dag("broken").get_task("fails").template_fields
    with pytest.raises(ZeroDivisionError):
        bag.get_dag("broken").get_task("fails").execute({})

def test_variables():
    Variable.set("a", "b")
    assert Variable.get("a") == "b"
    assert Variable.get("c", default_var=1) == 1
    with pytest.raises(KeyError):
        Variable.get("c")
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_everything_that_tests_call(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "daily.py").write_text(DAG_FILE)
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run_pytest(tmp_path)
    assert re.search(r"^7 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert "DAG(schedule_interval=) is of Airflow 2: use DAG(schedule=)" in done.stdout
    # Nothing is left beside the tests.
    assert not (tmp_path / "airflow").exists()


def test_the_seeds_tests(tmp_path: Path) -> None:
    """What their rows say: two of the three that need no Parquet pass here; the run reaches its assertion."""
    seeds = ROOT / "tests" / "acceptance" / "seed_dags"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "ml_retraining_basic.py").write_text((seeds / "000_ml_retraining_basic.py").read_text())
    (tmp_path / "dags" / "001_my_first_spell.py").write_text((seeds / "001_my_first_spell.py").read_text())
    names = ("000_test_dags.py", "000_test_dag_run.py", "001_test_dags.py")
    for name in names:
        (tmp_path / name).write_text((seeds / name).read_text())
    done = run_pytest(tmp_path, "--deselect", "000_test_dags.py::test_task_function", *names)
    assert re.search(r"^1 failed, 4 passed, 1 deselected", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert re.search(r"^>\s+assert task_instance.state == State.SUCCESS", done.stdout, re.MULTILINE), done.stdout


def test_a_run_without_airflow_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, sys\ndef test_it():\n    assert 'airflow' not in sys.modules\n    assert 'AIRFLOW_HOME' not in os.environ\n"
    )
    assert "1 passed" in run_pytest(tmp_path).stdout


def test_a_file_that_tests_itself(tmp_path: Path) -> None:
    (tmp_path / "daily.py").write_text(DAG_FILE + "\nif __name__ == '__main__':\n    print('ended', dag.test().state)\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(
        [sys.executable, "-m", "tradewind_guest.compat", "daily.py"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "ended success" in done.stdout, done.stdout + done.stderr


SHORT = """
from datetime import datetime
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.python import ShortCircuitOperator
with DAG("short", start_date=datetime(2026, 1, 2), schedule_interval=None) as dag:
    ShortCircuitOperator(task_id="stop", python_callable=lambda: False) >> BashOperator(task_id="b", bash_command="true")
print("ended", {ti.task_id: ti.state for ti in dag.test().get_task_instances()})
"""


def test_operators_find_a_logger_of_airflow(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text(SHORT)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(
        [sys.executable, "-m", "tradewind_guest.compat", "short.py"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "'b': <TaskInstanceState.SKIPPED" in done.stdout or "'b': 'skipped'" in done.stdout, done.stdout + done.stderr
    assert "[debug" not in done.stdout + done.stderr


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=120)
    return tmp_path / "venv"


def test_the_prepared_environment_knows_the_plugin(venv: Path) -> None:
    """What prepare.sh does at its end, in an environment without packages."""
    script = (ROOT / "python" / "prepare.sh").read_text()
    register = script[script.index("register() {") : script.index("\n}\n", script.index("register() {")) + 3]
    subprocess.run(["sh", "-eu", "-c", f"here={ROOT / 'python'} venv={venv}\n{register}\nregister"], check=True, timeout=60)
    code = (
        "import importlib.metadata as m, importlib.util as u\n"
        "[point] = m.entry_points(group='pytest11')\n"
        "print(point.value, u.find_spec(point.value).origin)\n"
    )
    done = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [PLUGIN, str(ROOT / "python/tradewind_guest/compat/pytest_plugin.py")], done.stderr
