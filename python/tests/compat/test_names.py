"""Old names and arguments in DAG files, parsed in a real zygote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor import Supervisor

LEGACY = '''
from datetime import timedelta
import airflow
from airflow import DAG
from airflow.exceptions import RemovedInAirflow3Warning
from airflow.contrib.sensors.file_sensor import FileSensor
from airflow.datasets import Dataset
from airflow.models import BaseOperator, Variable
from airflow.operators import python as py_operators
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import PythonOperator
from airflow.operators.subdag_operator import SubDagOperator
from airflow.utils.decorators import apply_defaults
from airflow.utils.trigger_rule import TriggerRule

default_args = {"owner": "me", "start_date": airflow.utils.dates.days_ago(2), "sla": timedelta(hours=1)}

def missed(dag, task_list, blocking_task_list, slas, blocking_tis):
    print("missed", task_list)

class Mine(BaseOperator):
    @apply_defaults
    def __init__(self, x, *args, **kwargs):
        super(Mine, self).__init__(*args, **kwargs)

def sub(parent, child):
    with DAG(f"{parent}.{child}", default_args=default_args, schedule_interval="@daily") as dag:
        DummyOperator(task_id="a") >> DummyOperator(task_id="b")
    return dag

with DAG(
    "legacy",
    "What it does",
    default_args=default_args,
    schedule_interval=timedelta(hours=6),
    concurrency=3,
    orientation="TB",
    default_view="tree",
    sla_miss_callback=missed,
) as dag:
    first = PythonOperator(
        task_id="first",
        python_callable=print,
        provide_context=True,
        task_concurrency=2,
        sla=timedelta(minutes=5),
    )
    section = SubDagOperator(task_id="section", subdag=sub("legacy", "section"))
    dummy = DummyOperator(task_id="dummy", trigger_rule="dummy", outlets=[Dataset("s3://x/y")])
    skipped = BashOperator(task_id="skipped", bash_command="true", trigger_rule="none_failed_or_skipped")
    enum = Mine(task_id="enum", x=1, trigger_rule=TriggerRule.NONE_FAILED_OR_SKIPPED)
    first >> section >> [dummy, skipped, enum]
'''


def parse(supervisor: Supervisor, root: Path, text: str) -> dict[str, Any]:
    (root / "file.py").write_text(text)
    return supervisor.parse(root, "file.py")


def tasks_of(dag: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["__var"]["task_id"]: task["__var"] for task in dag["dag"]["tasks"]}


@pytest.fixture(scope="module")
def legacy(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    result = parse(supervisor, tmp_path_factory.mktemp("legacy"), LEGACY)
    assert result["errors"] == []
    return result


def test_arguments_of_dags(legacy: dict[str, Any]) -> None:
    [dag] = legacy["dags"]
    assert dag["dag"]["dag_id"] == "legacy"
    assert dag["dag"]["description"] == "What it does"
    assert dag["dag"]["max_active_tasks"] == 3
    assert dag["dag"]["timetable"]["__var"]["delta"] == 21600.0


def test_arguments_of_operators(legacy: dict[str, Any]) -> None:
    tasks = tasks_of(legacy["dags"][0])
    assert tasks["first"]["max_active_tis_per_dag"] == 2
    assert tasks["dummy"]["trigger_rule"] == "always"
    assert tasks["skipped"]["trigger_rule"] == "none_failed_min_one_success"
    assert tasks["enum"]["trigger_rule"] == "none_failed_min_one_success"


def test_a_sub_dag_is_a_group(legacy: dict[str, Any]) -> None:
    tasks = tasks_of(legacy["dags"][0])
    assert tasks["first"]["downstream_task_ids"] == ["a"]
    assert tasks["a"]["downstream_task_ids"] == ["b"]
    assert tasks["b"]["downstream_task_ids"] == ["dummy", "enum", "skipped"]
    assert set(legacy["dags"][0]["dag"]["task_group"]["children"]["section"][1]["children"]) == {"a", "b"}


def test_slas_are_deadlines(legacy: dict[str, Any]) -> None:
    short, long = legacy["dags"][0]["dag"]["deadline"]
    assert short["interval"]["__data__"] == 300.0
    assert short["callback"]["__data__"]["kwargs"]["task_ids"] == ["first"]
    assert long["interval"]["__data__"] == 3600.0
    assert long["callback"]["__data__"]["kwargs"]["task_ids"] == ["a", "b", "dummy", "enum", "skipped"]
    assert long["reference"]["reference_type"] == "DagRunQueuedAtDeadline"
    assert short["callback"]["__data__"]["path"].endswith("_file._sla_missed_legacy")


def test_each_use_is_told_with_its_line(legacy: dict[str, Any]) -> None:
    lines = LEGACY.splitlines()
    told = {(use["old"], use["line"]): use for use in legacy["deprecations"]}

    def line(text: str) -> int:
        return next(number for number, content in enumerate(lines, 1) if text in content)

    for old, text in {
        "airflow.contrib.sensors.file_sensor.FileSensor": "import FileSensor",
        "airflow.datasets.Dataset": "import Dataset",
        "airflow.operators.bash_operator.BashOperator": "import BashOperator",
        "airflow.operators.dummy_operator.DummyOperator": "import DummyOperator",
        "airflow.operators.subdag_operator.SubDagOperator": "import SubDagOperator",
        "airflow.utils.decorators.apply_defaults": "import apply_defaults",
        "airflow.utils.dates.days_ago": "days_ago(2)",
        "DAG(concurrency=)": "concurrency=3",
        "DAG(orientation=)": "orientation=",
        "DAG(default_view=)": "default_view=",
        "DAG(sla_miss_callback=)": "sla_miss_callback=missed",
        "PythonOperator(provide_context=)": "provide_context=True",
        "PythonOperator(task_concurrency=)": "task_concurrency=2",
        "trigger_rule='dummy'": 'trigger_rule="dummy"',
        "TriggerRule.NONE_FAILED_OR_SKIPPED": "TriggerRule.NONE_FAILED_OR_SKIPPED",
    }.items():
        assert (old, line(text)) in told, f"{old}: {sorted(told)}"
    assert told["airflow.utils.dates.days_ago", line("days_ago(2)")]["new"] == "pendulum.today('UTC').subtract(days=n)"
    assert {use["file"] for use in legacy["deprecations"]} == {"file.py"}
    numbers = [use["line"] for use in legacy["deprecations"]]
    assert numbers == sorted(numbers)
    assert len(told) == len(legacy["deprecations"])


def test_names_that_airflow_still_redirects(supervisor: Supervisor, tmp_path: Path) -> None:
    result = parse(
        supervisor,
        tmp_path,
        "from airflow import DAG\nfrom airflow.operators.python import PythonOperator\nDAG('d')\n",
    )
    assert result["deprecations"] == [
        {
            "file": "file.py",
            "line": 2,
            "old": "airflow.operators.python.PythonOperator",
            "new": "airflow.providers.standard.operators.python.PythonOperator",
            "note": None,
        }
    ]
    assert result["warnings"] == []


def test_a_modern_file_is_told_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    result = parse(
        supervisor,
        tmp_path,
        "import datetime\n"
        "from airflow.sdk import DAG, task\n"
        "from airflow.providers.standard.operators.bash import BashOperator\n"
        "with DAG('d', schedule='@daily', start_date=datetime.datetime(2026, 1, 1)):\n"
        "    BashOperator(task_id='a', bash_command='echo {{ ds }} {{ logical_date }}')\n",
    )
    assert (result["errors"], result["warnings"], result["deprecations"]) == ([], [], [])


def test_uses_in_imported_files_stand_with_those_files(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "common.py").write_text(
        "from airflow.utils.dates import days_ago\ndef at(**context): return context['next_ds']\n"
    )
    result = parse(supervisor, tmp_path, "from airflow import DAG\nimport common\nDAG('d', schedule_interval=None)\n")
    assert [(use["file"], use["line"], use["old"]) for use in result["deprecations"]] == [
        ("file.py", 3, "DAG(schedule_interval=)"),
        ("common.py", 1, "airflow.utils.dates.days_ago"),
        ("common.py", 2, "context key next_ds"),
    ]


def test_the_line_of_a_decorator(supervisor: Supervisor, tmp_path: Path) -> None:
    result = parse(
        supervisor,
        tmp_path,
        "from airflow.sdk import dag\n@dag(\n    schedule_interval='@daily',\n)\ndef d(): pass\nd()\n",
    )
    assert [(use["line"], use["old"]) for use in result["deprecations"]] == [(3, "DAG(schedule_interval=)")]
    assert result["dags"][0]["dag"]["timetable"]["__var"]["expression"] == "0 0 * * *"


def test_mails_are_told_where_they_are_set(supervisor: Supervisor, tmp_path: Path) -> None:
    result = parse(
        supervisor,
        tmp_path,
        "from airflow.sdk import DAG\n"
        "from airflow.providers.standard.operators.empty import EmptyOperator\n"
        "default_args = {\n  'email': ['a@b.c'],\n  'email_on_failure': True,\n}\n"
        "with DAG('d', default_args=default_args):\n  EmptyOperator(task_id='a')\n  EmptyOperator(task_id='b')\n",
    )
    assert [(use["line"], use["old"]) for use in result["deprecations"]] == [(4, "email="), (5, "email_on_failure=")]
    assert result["warnings"] == []


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        (
            "from airflow.operators.bash import BashOperator\n"
            "with DAG('d'):\n  BashOperator(task_id='a', bash_command='x', exponential_backoff=True)\n",
            4,
            ["Invalid arguments were passed to BashOperator", "did you mean 'retry_exponential_backoff'?"],
        ),
        (
            "from airflow.operators.bash import BashOperator\n"
            "with DAG('d'):\n  BashOperator(task_id='a', bash_command='x', retry_dealy=1)\n",
            4,
            ["'retry_dealy': did you mean 'retry_delay'?"],
        ),
        ("DAG('d', schedule=None, schedule_interval=None)\n", 2, ["DAG() got both 'schedule_interval'", "'schedule'"]),
        ("S3FileTransferOperator()\n", 2, ["no Airflow has S3FileTransferOperator", "LocalFilesystemToS3Operator"]),
        ("from airflow.models import SlaMiss\n", 2, ["was dropped after Airflow 2", "DeadlineAlert"]),
        ("from airflow.www.utils import anything\n", 2, ["airflow.www.utils.anything was dropped", "no Flask views"]),
        ("import airflow.auth.managers.other as other\nother.X\n", 3, ["was dropped after Airflow 2"]),
        ("DAG('d', 'text', None, None)\n", 2, ["positional arguments"]),
        ("from airflow.models import DagRun\nDagRun.find(dag_id='d')\n", 3, ["DagRun.find() needs Airflow's database"]),
        ("DAG('d').run()\n", 2, ["dag.run() needs Airflow's database", "python -m pytest"]),
        ("DAG('d').cli()\n", 2, ["tradewind dags test"]),
    ],
)
def test_what_cannot_be_is_told(
    supervisor: Supervisor, tmp_path: Path, text: str, line: int, parts: list[str]
) -> None:
    [error] = parse(supervisor, tmp_path, f"from airflow import DAG\n{text}")["errors"]
    for part in parts:
        assert part in error["message"]
    assert error["line"] == line


def test_a_clash_of_ids_puts_the_group_in_front(supervisor: Supervisor, tmp_path: Path) -> None:
    text = (
        "from airflow import DAG\nfrom airflow.operators.subdag import SubDagOperator\n"
        "from airflow.operators.empty import EmptyOperator\n"
        "def sub(child):\n  with DAG(f'p.{child}') as d: EmptyOperator(task_id='a') >> EmptyOperator(task_id='b')\n"
        "  return d\n"
        "with DAG('p'):\n  SubDagOperator(task_id='one', subdag=sub('one')) >> SubDagOperator(task_id='two', subdag=sub('two'))\n"
    )
    [dag] = parse(supervisor, tmp_path, text)["dags"]
    tasks = tasks_of(dag)
    assert sorted(tasks) == ["a", "b", "two.a", "two.b"]
    assert tasks["b"]["downstream_task_ids"] == ["two.a"]
    assert tasks["two.a"]["downstream_task_ids"] == ["two.b"]


def test_mapped_operators(supervisor: Supervisor, tmp_path: Path) -> None:
    text = (
        "from airflow import DAG\nfrom airflow.operators.bash_operator import BashOperator\n"
        "with DAG('d'):\n"
        "  BashOperator.partial(task_id='a', xcom_push=True, task_concurrency=1, trigger_rule='dummy')"
        ".expand(bash_command=['true'])\n"
    )
    result = parse(supervisor, tmp_path, text)
    assert result["errors"] == []
    task = tasks_of(result["dags"][0])["a"]
    assert task["partial_kwargs"]["max_active_tis_per_dag"] == 1
    assert task["partial_kwargs"]["trigger_rule"] == "always"


def test_a_task_of_an_operator_without_init_still_gets_its_upstream(supervisor: Supervisor, tmp_path: Path) -> None:
    """Operators tell by what they wrap whether they are made: a wrapper of ours must not hide that."""
    text = (
        "from airflow.sdk import DAG, BaseOperator, task\n"
        "class Base(BaseOperator):\n  template_fields = ('x',)\n"
        "  def __init__(self, *, x, **kwargs):\n    super().__init__(**kwargs)\n    self.x = x\n"
        "class Mine(Base): pass\n"
        "with DAG('d'):\n  @task\n  def a(): return 1\n  Mine(task_id='b', x=a())\n"
        "  from airflow.providers.standard.operators.bash import BashOperator\n"
        "  BashOperator(task_id='c', bash_command=a())\n"
    )
    result = parse(supervisor, tmp_path, text)
    assert result["errors"] == []
    tasks = tasks_of(result["dags"][0])
    assert tasks["a"]["downstream_task_ids"] == ["b"]
    assert tasks["a__1"]["downstream_task_ids"] == ["c"]
