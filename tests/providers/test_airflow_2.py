"""Operators that providers dropped after Airflow 2: what the layer builds of their arguments for those of today."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "python" / "tests"))

from supervisor import Supervisor  # noqa: E402

GOOGLE = "airflow.providers.google.cloud.operators"
HEAD = "from airflow import DAG\n"


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path_factory.mktemp("home"))
    yield running
    running.close()


def task(supervisor: Supervisor, root: Path, text: str, defaults: str = "{}") -> tuple[dict[str, Any], list[str]]:
    """Parse a file of imports, a line, and one call; return the task and what stands for the old names."""
    *imports, call = text.splitlines()
    (root / "file.py").write_text(
        HEAD + "\n".join(imports) + f"\nwith DAG('d', schedule=None, default_args={defaults}):\n    {call}\n"
    )
    result = supervisor.parse(root, "file.py", memory_limit_bytes=4 << 30)
    assert result["errors"] == []
    [dag] = result["dags"]
    [made] = dag["dag"]["tasks"]
    return made["__var"], [use["new"] for use in result["deprecations"]]


def test_an_empty_table(supervisor: Supervisor, tmp_path: Path) -> None:
    made, told = task(
        supervisor,
        tmp_path,
        f"from {GOOGLE}.bigquery import BigQueryCreateEmptyTableOperator\n"
        "BigQueryCreateEmptyTableOperator(task_id='t', dataset_id='d', table_id='t', exists_ok=True, "
        "schema_fields=[{'name': 'x', 'type': 'STRING'}], cluster_fields=['x'], bigquery_conn_id='bq')",
        "{'project_id': 'p'}",
    )
    assert made["table_resource"] == {
        "schema": {"fields": [{"name": "x", "type": "STRING"}]},
        "clustering": {"fields": ["x"]},
    }
    assert (made["project_id"], made["gcp_conn_id"]) == ("p", "bq")
    assert told[0] == f"{GOOGLE}.bigquery.BigQueryCreateTableOperator(table_resource=)"


def test_an_external_table(supervisor: Supervisor, tmp_path: Path) -> None:
    made, _ = task(
        supervisor,
        tmp_path,
        "from airflow.contrib.operators.bigquery_operator import BigQueryCreateExternalTableOperator\n"
        "BigQueryCreateExternalTableOperator(task_id='t', bucket='b', source_objects=['a/{{ ds }}.csv'], "
        "destination_project_dataset_table='p:d.t_{{ macros.ds_add(ds, 1) }}', schema_object='s.json', skip_leading_rows=1)",
    )
    name = "t_{{ macros.ds_add(ds, 1) }}"
    assert made["table_resource"]["tableReference"] == {"projectId": "p", "datasetId": "d", "tableId": name}
    assert made["table_resource"]["externalDataConfiguration"] == {
        "sourceUris": ["gs://b/a/{{ ds }}.csv"],
        "sourceFormat": "CSV",
        "csvOptions": {"fieldDelimiter": ",", "skipLeadingRows": 1},
    }
    assert (made["project_id"], made["dataset_id"], made["table_id"]) == ("p", "d", name)
    assert made["gcs_schema_object"] == "gs://b/s.json"


def test_a_resource_given_whole(supervisor: Supervisor, tmp_path: Path) -> None:
    made, _ = task(
        supervisor,
        tmp_path,
        f"from {GOOGLE}.bigquery import BigQueryCreateExternalTableOperator\n"
        "BigQueryCreateExternalTableOperator(task_id='t', "
        "table_resource={'tableReference': {'projectId': 'P', 'datasetId': 'D', 'tableId': 'T'}})",
    )
    assert (made["project_id"], made["dataset_id"], made["table_id"]) == ("P", "D", "T")


@pytest.mark.parametrize(
    ("call", "job"),
    [
        (
            "DataprocSubmitPigJobOperator(task_id='t', query='x', variables={'a': '1'}, region='r')",
            {"pig_job": {"query_list": {"queries": ["x"]}, "script_variables": {"a": "1"}}},
        ),
        (
            "DataprocSubmitPySparkJobOperator(task_id='t', main='m.py', arguments=['a'], job_name='n', region='r', "
            "dataproc_jars=['j'], dataproc_properties={'p': '1'})",
            {
                "pyspark_job": {
                    "main_python_file_uri": "m.py",
                    "args": ["a"],
                    "jar_file_uris": ["j"],
                    "properties": {"p": "1"},
                }
            },
        ),
    ],
)
def test_dataproc(supervisor: Supervisor, tmp_path: Path, call: str, job: dict[str, Any]) -> None:
    name = call.partition("(")[0]
    made, told = task(
        supervisor, tmp_path, f"from {GOOGLE}.dataproc import {name}\n{call}", "{'cluster_name': 'c', 'project_id': 'p'}"
    )
    assert made["job"] == {"placement": {"cluster_name": "c"}, **job}
    assert (made["region"], made["project_id"]) == ("r", "p")
    assert told[0].startswith(f"{GOOGLE}.dataproc.DataprocSubmitJobOperator(job=")


def test_snowflake(supervisor: Supervisor, tmp_path: Path) -> None:
    made, _ = task(
        supervisor,
        tmp_path,
        "from airflow.providers.snowflake.transfers.s3_to_snowflake import S3ToSnowflakeOperator\n"
        "S3ToSnowflakeOperator(task_id='t', s3_keys=['k'], table='t', stage='s', file_format='f')",
    )
    assert made["files"] == ["k"]
    made, _ = task(
        supervisor,
        tmp_path,
        "from airflow.providers.snowflake.transfers.snowflake_to_slack import SnowflakeToSlackOperator\n"
        "SnowflakeToSlackOperator(task_id='t', sql='select 1', slack_message='m', role='r')",
    )
    assert (made["sql"], made["sql_conn_id"]) == ("select 1", "snowflake_default")


@pytest.mark.parametrize(
    "text",
    [
        "from airflow.providers.google.cloud.sensors.gcs import GCSObjectExistenceAsyncSensor as S\n"
        "S(task_id='t', bucket='b', object='o')",
        "from airflow.providers.amazon.aws.sensors.s3_key import S3KeySizeSensor as S\nS(task_id='t', bucket_key='s3://b/k')",
        "from airflow.providers.amazon.aws.operators.eks import EKSDeleteClusterOperator as S\nS(task_id='t', cluster_name='c')",
        f"from {GOOGLE}.kubernetes_engine import GKEDeleteClusterOperator as S\n"
        "S(task_id='t', name='c', location='l', project_id='p')",
        "from airflow.providers.docker.operators.docker import DockerOperator as S\nS(task_id='t', image='i', auto_remove=True)",
        "from airflow.providers.amazon.aws.operators.rds import RdsStartDbOperator as S\n"
        "S(task_id='t', db_identifier='d', hook_params={'region_name': 'eu'})",
    ],
)
def test_loads_and_is_told(supervisor: Supervisor, tmp_path: Path, text: str) -> None:
    _, told = task(supervisor, tmp_path, text)
    assert len(told) == 1
