"""Removed context keys, Variables and old attributes in tasks that really run."""

from __future__ import annotations

import itertools
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from supervisor import Supervisor, TaskResult, drain, startup

#: An interpreter without any packages.
BARE = os.path.realpath(sys.executable)
NUMBERS = itertools.count()
HEAD = """
import datetime, json
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.python_operator import PythonOperator
from airflow.decorators import task
dag = DAG("d", schedule_interval="0 6 * * *", start_date=datetime.datetime(2026, 1, 1), catchup=False)
"""


def run(supervisor: Supervisor, root: Path, body: str, run_type: str = "scheduled", **changes: Any) -> TaskResult:
    # The bytecode of files of one name is told apart by size and whole second only, here as in a bundle.
    file = f"d_{next(NUMBERS)}.py"
    (root / file).write_text(HEAD + body)
    date = "2026-01-02T06:00:00Z"
    dag_run = {
        "dag_id": "d",
        "run_id": "r",
        "logical_date": date,
        "data_interval_start": date,
        "data_interval_end": date,
        "run_after": date,
        "start_date": date,
        "end_date": None,
        "run_type": run_type,
        "state": "running",
        "conf": {},
        "consumed_asset_events": [],
        "partition_key": None,
        **changes,
    }
    return supervisor.task(root, file, "d", "t", dag_run=dag_run)


def value(result: TaskResult) -> Any:
    pushed = [message["value"] for message in result.messages if message["type"] == "SetXCom"]
    assert pushed, (result.types(), result.stderr.decode(), json.dumps(result.logs))
    return pushed[-1]


KEYS = (
    "execution_date", "next_execution_date", "prev_execution_date", "next_ds", "next_ds_nodash", "prev_ds",
    "prev_ds_nodash", "tomorrow_ds", "tomorrow_ds_nodash", "yesterday_ds", "yesterday_ds_nodash", "test_mode",
)  # fmt: skip
SCHEDULED = [
    "2026-01-02 06:00:00+00:00", "2026-01-03 06:00:00+00:00", "2026-01-01 06:00:00+00:00", "2026-01-03", "20260103",
    "2026-01-01", "20260101", "2026-01-03", "20260103", "2026-01-01", "20260101", "False",
]  # fmt: skip
BY_HAND = [
    "2026-01-02 06:00:00+00:00", "2026-01-02 06:00:00+00:00", "2026-01-02 06:00:00+00:00", "2026-01-02", "20260102",
    "2026-01-02", "20260102", "2026-01-03", "20260103", "2026-01-01", "20260101", "False",
]  # fmt: skip


@pytest.mark.parametrize(("run_type", "expected"), [("scheduled", SCHEDULED), ("manual", BY_HAND)])
def test_keys_in_a_callable(supervisor: Supervisor, tmp_path: Path, run_type: str, expected: list[str]) -> None:
    body = f"def f(**context): return [str(context[key]) for key in {KEYS!r}]\n"
    result = run(supervisor, tmp_path, body + 'PythonOperator(task_id="t", python_callable=f, dag=dag)', run_type)
    assert value(result) == expected


def test_keys_in_templates(supervisor: Supervisor, tmp_path: Path) -> None:
    template = " ".join(f"{{{{ {key} }}}}" for key in KEYS).replace(" ", ";")
    body = f"def f(x): return x\nPythonOperator(task_id='t', python_callable=f, op_args=[{template!r}], dag=dag)"
    (text,) = [value(run(supervisor, tmp_path, body.replace("{{;", "{{ ").replace(";}}", " }}")))]
    assert text.split(";") == SCHEDULED


def test_keys_asked_for_by_name(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "def f(ds, execution_date, next_ds, conf, dag_run, ti):\n"
        "    return [ds, str(execution_date), str(next_ds), conf.get('core', 'dags_folder') != '', dag_run.external_trigger,"
        " str(ti.execution_date), str(dag_run.execution_date)]\n"
        "PythonOperator(task_id='t', python_callable=f, dag=dag)"
    )
    date = "2026-01-02 06:00:00+00:00"
    assert value(run(supervisor, tmp_path, body)) == ["2026-01-02", date, "2026-01-03", True, False, date, date]


def test_a_run_without_a_date_has_the_time_it_was_due(supervisor: Supervisor, tmp_path: Path) -> None:
    body = "def f(**c): return [str(c['execution_date']), c['tomorrow_ds']]\nPythonOperator(task_id='t', python_callable=f, dag=dag)"
    result = run(supervisor, tmp_path, body, "manual", logical_date=None, data_interval_start=None, data_interval_end=None)
    assert value(result) == ["2026-01-02 06:00:00+00:00", "2026-01-03"]


def test_taskflow_functions(supervisor: Supervisor, tmp_path: Path) -> None:
    body = "with dag:\n  @task\n  def t(execution_date, x, prev_ds=None): return [str(execution_date)[:10], x, str(prev_ds)]\n  t(x=3)"
    assert value(run(supervisor, tmp_path, body)) == ["2026-01-02", 3, "2026-01-01"]


@pytest.mark.parametrize(
    "body",
    [
        "def f(conf): return conf\nPythonOperator(task_id='t', python_callable=f, op_args=['mine'], dag=dag)",
        "def f(conf='mine'): return conf\nPythonOperator(task_id='t', python_callable=f, dag=dag)",
        "def f(conf, **_): return conf\nPythonOperator(task_id='t', python_callable=f, op_kwargs={'conf': 'mine'}, dag=dag)",
        "with dag:\n  @task\n  def t(conf): return conf\n  t('mine')",
        "with dag:\n  @task\n  def t(conf='mine'): return conf\n  t()",
    ],
)
def test_parameters_of_that_name_are_the_users(supervisor: Supervisor, tmp_path: Path, body: str) -> None:
    """Files for Airflow 3 may call their parameters what Airflow 2 had in its context."""
    assert value(run(supervisor, tmp_path, body)) == "mine"


def test_a_missing_variable_is_a_key_error(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "from airflow.models import Variable\n"
        "from airflow.sdk.exceptions import AirflowRuntimeError\n"
        "def f():\n"
        "    try: Variable.get('absent', deserialize_json=True)\n"
        "    except KeyError as error: return [str(error), isinstance(error, AirflowRuntimeError), Variable.get('absent', default_var=7)]\n"
        "PythonOperator(task_id='t', python_callable=f, dag=dag)"
    )
    assert value(run(supervisor, tmp_path, body)) == ["'Variable absent does not exist'", True, 7]


def test_a_missing_variable_at_parse_time(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "d.py").write_text(
        "from airflow import DAG\nfrom airflow.models import Variable\n"
        "try: Variable.get('absent')\nexcept KeyError: DAG('missed')\nVariable.get('there')\nVariable.get('absent')\n"
    )
    result = supervisor.parse(tmp_path, "d.py", variables={"there": "x"})
    assert "Variable absent does not exist" in result["errors"][0]["message"]
    assert result["errors"][0]["line"] == 6
    assert [use["line"] for use in result["deprecations"]] == [3, 5, 6]


def test_callbacks_have_them_too(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "def told(context): print('told', context['execution_date'], context['task_instance'].operator)\n"
        "def f(): raise ValueError('no')\n"
        "PythonOperator(task_id='t', python_callable=f, on_failure_callback=told, dag=dag)"
    )
    result = run(supervisor, tmp_path, body)
    assert b"told 2026-01-02 06:00:00+00:00 PythonOperator" in result.stdout


def test_hooks_and_connections(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "from airflow.hooks.base_hook import BaseHook\nfrom airflow.models import Connection\n"
        "def f():\n"
        "    [found] = BaseHook.get_connections('x')\n"
        "    made = Connection(conn_id='c', uri='postgres://u:p@h:1/s')\n"
        "    return [found.host, BaseHook.get_connection('x').password, made.host]\n"
        "PythonOperator(task_id='t', python_callable=f, dag=dag)"
    )
    (tmp_path / "d.py").write_text(HEAD + body)
    result = supervisor.task(tmp_path, "d.py", "d", "t", env={"AIRFLOW_CONN_X": "http://u:secret@host:80"})
    assert value(result) == ["host", "secret", "h"]


def test_another_interpreter_gets_plain_values(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "import sys\nfrom airflow.operators.python import ExternalPythonOperator\n"
        "def f(**context): return [context['next_ds'], context['prev_ds'], sorted(context)[0]]\n"
        f"ExternalPythonOperator(task_id='t', python={BARE!r}, python_callable=f, expect_airflow=False, dag=dag)"
    )
    assert value(run(supervisor, tmp_path, body))[:2] == ["2026-01-03", "2026-01-01"]


def test_an_airflow_of_another_interpreter_sets_itself_up(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "import os, sys\nfrom airflow.operators.python import ExternalPythonOperator\n"
        "def f():\n  import os\n  return [os.environ.get('_AIRFLOW__AS_LIBRARY')]\n"
        "assert os.environ['_AIRFLOW__AS_LIBRARY']\n"
        f"ExternalPythonOperator(task_id='t', python={BARE!r}, python_callable=f, expect_airflow=False, dag=dag)"
    )
    assert value(run(supervisor, tmp_path, body)) == [None]


def test_the_other_task_instances_of_the_run(supervisor: Supervisor, tmp_path: Path) -> None:
    body = (
        "from airflow.utils.state import State\n"
        "def f(ti, dag_run, **context):\n"
        "  ti.log.info('in the log')\n"
        "  found = [[i.task_id, i.map_index, i.current_state()] for i in dag_run.get_task_instances()]\n"
        "  failed = [i.map_index for i in dag_run.get_task_instances(state=[State.FAILED])]\n"
        "  return [found, failed, dag_run.get_task_instance('mapped', map_index=0).state == State.SUCCESS]\n"
        "PythonOperator(task_id='mapped', python_callable=print, dag=dag)\n"
        "PythonOperator(task_id='t', python_callable=f, dag=dag)"
    )
    result = run(supervisor, tmp_path, body)
    found = [["t", -1, "running"], ["mapped", 0, "success"], ["mapped", 1, "failed"], ["later", -1, None]]
    assert value(result) == [found, [1], True]
    assert "in the log" in json.dumps(result.logs)


def test_nothing_is_told_to_a_task(supervisor: Supervisor, tmp_path: Path) -> None:
    body = "from airflow.utils.dates import days_ago\nPythonOperator(task_id='t', python_callable=lambda: 1, provide_context=True, dag=dag)"
    result = run(supervisor, tmp_path, body)
    assert value(result) == 1
    assert "Airflow 2" not in json.dumps(result.logs) + result.stderr.decode()


SLA = """
import datetime
from airflow import DAG
from airflow.operators.bash import BashOperator
def missed(dag, task_list, blocking_task_list, slas, blocking_tis):
    print("told", dag.dag_id, task_list, [sla.task_id for sla in slas], blocking_tis)
with DAG("d", sla_miss_callback=missed, default_args={"sla": datetime.timedelta(minutes=1)}):
    for name in ("done", "late", "failed"):
        BashOperator(task_id=name, bash_command="true")
"""


@pytest.mark.parametrize(("run_type", "told"), [("scheduled", ["failed", "late"]), ("manual", None)])
def test_a_missed_sla(supervisor: Supervisor, tmp_path: Path, run_type: str, told: list[str] | None) -> None:
    (tmp_path / "sla.py").write_text(SLA)
    [deadline] = supervisor.parse(tmp_path, "sla.py")["dags"][0]["dag"]["deadline"]
    dag_run = {**startup("d", "late", "sla.py")["ti_context"]["dag_run"], "run_type": run_type}
    prelude = {
        "env": {},
        "bundle_name": "dags",
        "bundle_dir": str(tmp_path),
        "working_dir": str(tmp_path),
        "bytecode_dir": None,
        "dag_rel_path": "sla.py",
        "callback": {
            "kind": "deadline",
            "spec": deadline["callback"],
            "ti_context": {"dag_run": dag_run, "max_tries": 0, "should_retry": False},
            "deadline": {"deadline_time": "2026-01-02T00:01:00Z"},
        },
    }
    job = supervisor.fork("callback", prelude)
    if told is not None:
        head = job.channel.recv(4, socket.MSG_WAITALL)
        number, body, *_ = msgspec.msgpack.decode(job.channel.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        assert (body["type"], body["task_ids"], body["run_ids"]) == ("GetTaskStates", ["done", "failed", "late"], ["manual"])
        states = {"manual": {"done": "success", "failed": "failed", "late": "running"}}
        job.reply(number, {"type": "TaskStatesResult", "task_states": states})
    output = drain(job.stdout)
    assert supervisor.wait_event("exited", job.number)["code"] == 0, (output, drain(job.logs))
    if told is None:
        assert "told" not in output
    else:
        assert f"told d failed on 2026-01-02T00:00:00Z\nlate on 2026-01-02T00:00:00Z {told} []" in output
