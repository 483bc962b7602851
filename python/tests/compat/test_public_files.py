"""Old names and arguments that public DAG files were found to use."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from supervisor import PACKAGE_DIR, Supervisor

sys.path.insert(0, str(PACKAGE_DIR))

from tradewind_guest.compat import operator_arguments, report  # noqa: E402
from tradewind_guest.compat.lib.json_encoder import AirflowJsonEncoder  # noqa: E402


def load(supervisor: Supervisor, root: Path, text: str) -> dict[str, Any]:
    (root / "file.py").write_text(text)
    result = supervisor.parse(root, "file.py")
    assert result["errors"] == []
    return result


def told(result: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(use["line"], use["old"], use["new"]) for use in result["deprecations"]]


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("from airflow.utils.dates import datetime as x", "datetime.datetime"),
        ("from airflow.utils.dates import timedelta as x", "datetime.timedelta"),
        ("from airflow.models.dataset import Dataset as x", "airflow.sdk.Asset"),
        ("from airflow.models.xcom import LazyXComAccess as x", "airflow.sdk.execution_time.lazy_sequence.LazyXComSequence"),
        ("from airflow.operators.python import is_venv_installed as x", "importlib.util.find_spec('virtualenv')"),
        ("from airflow.utils.json import AirflowJsonEncoder as x", "your own json.JSONEncoder"),
        ("from airflow.decorators import _TaskDecorator as x", "airflow.sdk.bases.decorator._TaskDecorator"),
    ],
)
def test_names(supervisor: Supervisor, tmp_path: Path, text: str, new: str) -> None:
    result = load(supervisor, tmp_path, f"# DAG, airflow\n{text}\nassert x\n")
    assert [(line, modern) for line, _, modern in told(result)] == [(2, new)]


def test_kinds_of_text_of_the_ui(supervisor: Supervisor, tmp_path: Path) -> None:
    text = "# DAG\nfrom airflow.www import utils as wwwutils\nassert 'postgresql' in wwwutils.get_attr_renderer()\n"
    assert [line for line, _, _ in told(load(supervisor, tmp_path, text))] == [3]


def test_arguments(supervisor: Supervisor, tmp_path: Path) -> None:
    result = load(
        supervisor,
        tmp_path,
        "from airflow import DAG\n"
        "from airflow.providers.standard.operators.python import BranchPythonOperator\n"
        "with DAG('d', concurrency=3, max_active_tasks=5):\n"
        "  BranchPythonOperator(task_id='a', python_callable=print, xcom_push=False)\n",
    )
    [dag] = result["dags"]
    assert dag["dag"]["max_active_tasks"] == 3
    assert dag["dag"]["tasks"][0]["__var"]["do_xcom_push"] is False
    assert [(line, new) for line, _, new in told(result)] == [
        (3, "DAG(max_active_tasks=)"),
        (4, "BranchPythonOperator(do_xcom_push=)"),
    ]


def test_arguments_of_standard_operators(supervisor: Supervisor, tmp_path: Path) -> None:
    result = load(
        supervisor,
        tmp_path,
        "from airflow import DAG\n"
        "import datetime\ndef f(): pass\n"
        "from airflow.operators.bash import BashOperator\n"
        "from airflow.operators.datetime import BranchDateTimeOperator\n"
        "from airflow.operators.python import BranchPythonVirtualenvOperator, ExternalPythonOperator\n"
        "from airflow.operators.sensors import TimeDeltaSensor\n"
        "with DAG('d'):\n"
        "  a = BashOperator(task_id='a', bash_command='x', skip_exit_code=98)\n"
        "  b = ExternalPythonOperator(task_id='b', python='/p', python_callable=f, use_dill=False)\n"
        "  c = BranchDateTimeOperator(task_id='c', follow_task_ids_if_true='a', follow_task_ids_if_false='b',\n"
        "    target_lower=None, target_upper=datetime.time(1), use_task_execution_date=True)\n"
        "  d = BranchPythonVirtualenvOperator(task_id='d', python_callable=f, use_dill=True)\n"
        "assert d.serializer == 'dill'\n"
        "assert a.skip_on_exit_code == [98]\n"
        "assert b.serializer == 'pickle'\n"
        "assert c.use_task_logical_date is True\n",
    )
    new = [modern for line, _, modern in told(result) if line > 8]
    assert new == [
        "BashOperator(skip_on_exit_code=)",
        "leave it out",
        "BranchDateTimeOperator(use_task_logical_date=)",
        "BranchPythonVirtualenvOperator(serializer=)",
    ]


def test_a_default_for_others_gives_way(supervisor: Supervisor, tmp_path: Path) -> None:
    result = load(
        supervisor,
        tmp_path,
        "from airflow import DAG\n"
        "from airflow.providers.standard.operators.bash import BashOperator\n"
        "with DAG('d', default_args={'skip_exit_code': 1}):\n"
        "  a = BashOperator(task_id='a', bash_command='x', skip_on_exit_code=2, delegate_to='me')\n"
        "  b = BashOperator(task_id='b', bash_command='x')\n"
        "assert (a.skip_on_exit_code, b.skip_on_exit_code) == ([2], [1])\n",
    )
    assert [(line, new) for line, _, new in told(result)] == [
        (4, "leave it out"),
        (5, "BashOperator(skip_on_exit_code=)"),
    ]


def test_options(supervisor: Supervisor, tmp_path: Path) -> None:
    result = load(
        supervisor,
        tmp_path,
        "# DAG\n"
        "from airflow.configuration import conf\n"
        "assert conf.get('core', 'dag_concurrency') == conf.get('core', 'max_active_tasks_per_dag')\n"
        "assert conf.get('kubernetes', 'NAMESPACE', fallback='mine') in ('default', 'mine')\n"
        "assert conf.get('webserver', 'BASE_URL').startswith('http')\n"
        "assert conf.getboolean('core', 'enable_xcom_pickling') is False\n"
        "assert conf.get('kubernetes', 'no_such', fallback=None) is None\n",
    )
    assert [(line, new) for line, _, new in told(result)] == [
        (3, "conf.get('core', 'max_active_tasks_per_dag')"),
        (4, "conf.get('kubernetes_executor', 'namespace')"),
        (5, "conf.get('api', 'base_url')"),
        (7, "conf.get('kubernetes_executor', 'no_such')"),
    ]
    assert result["warnings"] == []


STRICT = """
from airflow.sdk.definitions import asset
from airflow.sdk import Asset, DAG

class Handlers:
    @staticmethod
    def strict(parts):
        raise ValueError("three parts, please")

asset.ProvidersManagerTaskRuntime = lambda: type("M", (), {"asset_uri_handlers": {"strict": Handlers.strict}})
"""


def test_a_dataset_may_have_any_uri(supervisor: Supervisor, tmp_path: Path) -> None:
    text = f"{STRICT}\nfrom airflow.datasets import Dataset\nwith DAG('d', schedule=[Dataset('strict://x')]): pass\n"
    result = load(supervisor, tmp_path, text)
    [use] = [use for use in result["deprecations"] if "strict" in use["old"]]
    assert (use["line"], use["note"]) == (13, "three parts, please")
    (tmp_path / "file.py").write_text(f"{STRICT}\nAsset('strict://x')\n")
    [error] = supervisor.parse(tmp_path, "file.py")["errors"]
    assert "three parts, please" in error["message"]


def renamed(path: str, **given: Any) -> tuple[dict[str, Any], list[str]]:
    uses: list[str] = []
    report.listen(lambda _, old, new, note: uses.append(new))
    try:
        kind = path.rpartition(":")[2]
        return operator_arguments.rename(kind, operator_arguments.TABLE[path], given), uses
    finally:
        report.listen(None)


DOCKER = "airflow.providers.docker.operators.docker:DockerOperator"
RDS = "airflow.providers.amazon.aws.operators.rds:RdsBaseOperator"


@pytest.mark.parametrize(("value", "word"), [(True, "success"), (False, "never")])
def test_a_container_is_removed_or_not(value: bool, word: str) -> None:
    assert renamed(DOCKER, auto_remove=value) == ({"auto_remove": word}, [f"DockerOperator(auto_remove={word!r})"])


def test_a_modern_value_is_left_alone() -> None:
    assert renamed(DOCKER, auto_remove="force") == ({"auto_remove": "force"}, [])


def test_options_of_a_client() -> None:
    given, uses = renamed(RDS, hook_params={"region_name": "eu", "other": 1})
    assert given == {"region_name": "eu"}
    assert uses == ["RdsBaseOperator(region_name=)"]
    assert renamed(RDS, hook_params={})[1] == ["leave it out"]


def test_the_old_word_on_pods_counts() -> None:
    path = "airflow.providers.cncf.kubernetes.operators.pod:KubernetesPodOperator"
    given, _ = renamed(path, is_delete_operator_pod=True, on_finish_action="keep_pod")
    assert given == {"on_finish_action": "delete_pod"}


def test_two_connections_became_one() -> None:
    path = "airflow.providers.google.cloud.transfers.gcs_to_bigquery:GCSToBigQueryOperator"
    given, _ = renamed(path, google_cloud_storage_conn_id="storage", bigquery_conn_id="bigquery")
    assert given == {"gcp_conn_id": "bigquery"}
    with pytest.raises(TypeError, match="got both"):
        renamed(path, bigquery_conn_id="bigquery", gcp_conn_id="other")


def test_json() -> None:
    value = {"at": datetime(2026, 1, 2, 3), "day": date(2026, 1, 2), "n": Decimal(2), "x": Decimal("0.5"), "s": {1}}
    assert json.loads(json.dumps(value, cls=AirflowJsonEncoder)) == {
        "at": "2026-01-02T03:00:00Z",
        "day": "2026-01-02",
        "n": 2,
        "x": 0.5,
        "s": [1],
    }
