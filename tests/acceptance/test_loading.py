"""The Airflow 2 layer where the providers are installed: their old operators, arguments and paths.

All run in one process with the environment of the DAG files; nothing is started for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import ROOT, environment  # noqa: E402

PRELUDE = """
import json, sys, textwrap, warnings
from pathlib import Path
from tradewind_guest import environment
environment.isolate(Path(sys.argv[1]))
from tradewind_guest import compat
compat.install()
warnings.simplefilter("ignore")
told = {}
for name, script in json.loads(sys.argv[2]).items():
    def tell(value):
        told[name] = value
    try:
        exec(textwrap.dedent(script), {"tell": tell, "DAG": __import__("airflow").DAG})
    except Exception as error:
        told[name] = f"{type(error).__name__}: {error}"
print(json.dumps(told, default=str))
"""

SCRIPTS = {
    "sql_operators": """
        from airflow.providers.postgres.operators.postgres import PostgresOperator
        from airflow.providers.mysql.operators.mysql import MySqlOperator
        from airflow.operators.sqlite_operator import SqliteOperator
        from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
        with DAG("d", default_args={"mysql_conn_id": "by_default"}):
            a = PostgresOperator(task_id="a", sql="SELECT 1", postgres_conn_id="pg", runtime_parameters={"x": "3s"}, database="other")
            b = MySqlOperator(task_id="b", sql="SELECT 1")
            c = SqliteOperator(task_id="c", sql="x.sql")
            d = PostgresOperator.partial(task_id="d", postgres_conn_id="pg").expand(sql=["SELECT 1"])
        tell([isinstance(a, SQLExecuteQueryOperator), a.conn_id, a.hook_params, a.database, b.conn_id, c.conn_id,
              d.partial_kwargs["postgres_conn_id"], a.task_type])
    """,
    "pods": """
        from airflow.providers.cncf.kubernetes.operators.kubernetes_pod import KubernetesPodOperator
        from airflow.kubernetes.volume import Volume
        from airflow.kubernetes.volume_mount import VolumeMount
        from airflow.contrib.operators.kubernetes_pod_operator import KubernetesPodOperator as Oldest
        volume = Volume(name="v", configs={"persistentVolumeClaim": {"claimName": "claim"}})
        mount = VolumeMount("v", mount_path="/data", sub_path=None, read_only=True)
        with DAG("d"):
            a = KubernetesPodOperator(task_id="a", name="a", image="i", volumes=[volume], volume_mounts=[mount],
                resources={"request_memory": "1Gi", "request_cpu": 2, "limit_nvidia.com/gpu": 1, "limit_gpu": 2},
                is_delete_operator_pod=False)
            b = Oldest(task_id="b", image="i", is_delete_operator_pod=True, resources={"limits": {"cpu": "1"}})
        tell([a.container_resources.requests, a.container_resources.limits, a.on_finish_action, a.resources,
              a.volumes[0].persistent_volume_claim.claim_name, a.volume_mounts[0].mount_path,
              b.container_resources.limits, b.on_finish_action])
    """,
    "a_resource_that_makes_no_sense": """
        from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
        try:
            KubernetesPodOperator(task_id="a", resources={"memory": "1Gi"})
        except TypeError as error:
            tell(str(error))
    """,
    "slack_http_and_mail": """
        from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator
        from airflow.providers.http.operators.http import SimpleHttpOperator, HttpOperator
        from airflow.operators.http_operator import SimpleHttpOperator as Oldest
        from airflow.operators.email_operator import EmailOperator
        from airflow.providers.smtp.operators.smtp import EmailOperator as Today
        a = SlackWebhookOperator(task_id="a", http_conn_id="hook", message="m")
        b = SimpleHttpOperator(task_id="b", endpoint="x", http_conn_id="web", xcom_push=False)
        tell([a.slack_webhook_conn_id, SimpleHttpOperator is HttpOperator is Oldest, b.do_xcom_push, EmailOperator is Today])
    """,
    "both_names_of_an_argument": """
        from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator
        try:
            SlackWebhookOperator(task_id="a", http_conn_id="x", slack_webhook_conn_id="y", message="m")
        except TypeError as error:
            tell(str(error))
    """,
    "a_prefix_sensor": """
        from airflow.providers.amazon.aws.sensors.s3_prefix import S3PrefixSensor
        sensor = S3PrefixSensor(task_id="a", bucket_name="b", prefix="in/2026-")
        tell([sensor.bucket_key, sensor.wildcard_match])
    """,
}

#: An old name, and the module that has it today.
PATHS = {
    "airflow.operators.s3_file_transform_operator:S3FileTransformOperator": "airflow.providers.amazon.aws.operators.s3",
    "airflow.contrib.hooks.aws_hook:AwsHook": "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.amazon.aws.operators.s3_copy_object:S3CopyObjectOperator": "airflow.providers.amazon.aws.operators.s3",
    "airflow.contrib.operators.spark_submit_operator:SparkSubmitOperator": "airflow.providers.apache.spark.operators.spark_submit",
}


def run(code: str, home: Path, *arguments: str) -> Any:
    """Run code in the environment of the DAG files; return the JSON of its last line."""
    done = subprocess.run(
        [environment("DAGS") / "bin/python", "-c", code, home, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": f"{ROOT}/python"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scripts told, all run by one process."""
    paths = {
        old: "from {} import {name}\ntell({name}.__module__)\n".format(*old.split(":")[:1], name=old.split(":")[1])
        for old in PATHS
    }
    return run(PRELUDE, tmp_path_factory.mktemp("loading"), json.dumps({**SCRIPTS, **paths}))


def test_every_line_of_the_tables(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "python/tests/compat"))
    from test_tables import CHECK

    result = run(CHECK, tmp_path)
    assert result["wrong"] == []
    assert result["served"] > 350


def test_sql_operators(told: dict[str, Any]) -> None:
    assert told["sql_operators"] == [
        True, "pg", {"options": "-c x=3s"}, "other", "by_default", "sqlite_default", "pg", "PostgresOperator",
    ]  # fmt: skip


def test_pods(told: dict[str, Any]) -> None:
    assert told["pods"] == [
        {"memory": "1Gi", "cpu": "2"}, {"nvidia.com/gpu": "2"}, "keep_pod", None, "claim", "/data", {"cpu": "1"}, "delete_pod",
    ]  # fmt: skip


def test_a_resource_that_makes_no_sense(told: dict[str, Any]) -> None:
    assert "expected request_<resource>, limit_<resource>" in told["a_resource_that_makes_no_sense"]


def test_slack_http_and_mail(told: dict[str, Any]) -> None:
    assert told["slack_http_and_mail"] == ["hook", True, False, True]


def test_both_names_of_an_argument(told: dict[str, Any]) -> None:
    assert "got both 'http_conn_id' (Airflow 2) and 'slack_webhook_conn_id'" in told["both_names_of_an_argument"]


def test_a_prefix_sensor(told: dict[str, Any]) -> None:
    assert told["a_prefix_sensor"] == [["in/2026-*"], True]



@pytest.mark.parametrize(("old", "new"), PATHS.items())
def test_paths(told: dict[str, Any], old: str, new: str) -> None:
    assert told[old] == new
