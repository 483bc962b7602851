"""How import failures are put into words. No Airflow needed."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from tradewind_guest import missing_modules
from tradewind_guest.parse_errors import explain

TRACEBACK = """Traceback (most recent call last):
  File "/venv/airflow/dag_processing/importers/python_importer.py", line 238, in parse
    loader.exec_module(new_module)
  File "<frozen importlib._bootstrap_external>", line 940, in exec_module
  File "/dags/a.py", line 12, in <module>
    helper()
  File "/dags/helper.py", line 3, in helper
    raise ValueError("one\\ntwo")
ValueError: one
two
"""


def test_a_traceback_is_taken_apart() -> None:
    error = explain(TRACEBACK, "/dags/a.py")
    assert error["message"] == "ValueError: one\ntwo"
    assert error["line"] == 12
    assert "importlib" not in error["traceback"]
    assert "python_importer" not in error["traceback"]
    assert 'File "/dags/helper.py", line 3' in error["traceback"]


def test_a_bare_message_stays_as_it_is() -> None:
    assert explain("AirflowDagCycleException: a cycle", "/dags/a.py") == {
        "message": "AirflowDagCycleException: a cycle",
        "line": None,
        "traceback": None,
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("ModuleNotFoundError: No module named 'foo.bar'", "install the package that provides 'foo'"),
        ("ModuleNotFoundError: No module named 'airflow.providers.amazon.aws'", "apache-airflow-providers-amazon"),
        ("ModuleNotFoundError: No module named 'airflow.contrib'", "not part of the installed Airflow"),
        ("SystemExit: 3", "sys.exit(3)"),
        ("SystemExit", "sys.exit()"),
        ("MemoryError", "more memory than a DAG file may use (64 MiB)"),
        ("airflow.sdk.exceptions.DuplicateTaskIdFound: Task id 'a' has", "DuplicateTaskIdFound: Task id 'a' has"),
    ],
)
def test_messages_say_what_to_do(message: str, expected: str) -> None:
    assert expected in explain(message, "/dags/a.py", 64 * 2**20)["message"]


def import_failure(statement: str, missing: str) -> str:
    return (
        f'Traceback (most recent call last):\n  File "/dags/a.py", line 1, in <module>\n    {statement}\n'
        f"ModuleNotFoundError: No module named '{missing}'\n"
    )


@pytest.mark.parametrize(
    ("statement", "missing", "distribution"),
    [
        (
            "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator",
            "airflow.providers.cncf",
            "apache-airflow-providers-cncf-kubernetes",
        ),
        (
            "from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator",
            "airflow.providers.apache",
            "apache-airflow-providers-apache-spark",
        ),
        (
            "from airflow.providers.common.messaging.triggers import msg_queue",
            "airflow.providers.common.messaging",
            "apache-airflow-providers-common-messaging",
        ),
        (
            "from airflow.providers.microsoft.azure.hooks.wasb import WasbHook",
            "airflow.providers.microsoft",
            "apache-airflow-providers-microsoft-azure",
        ),
        (
            "from airflow.providers.google.cloud.hooks.gcs import GCSHook",
            "airflow.providers.google",
            "apache-airflow-providers-google",
        ),
        ("import airflow.providers.dbt.cloud", "airflow.providers.dbt", "apache-airflow-providers-dbt-cloud"),
        ("from airflow.providers.atlassian.jira import hooks", "airflow.providers.atlassian", "atlassian-jira"),
        ("from sklearn.svm import SVC", "sklearn", "scikit-learn"),
        ("import cv2", "cv2", "opencv-python-headless"),
        ("import yaml", "yaml", "PyYAML"),
        ("from PIL import Image", "PIL", "pillow"),
        ("from bs4 import BeautifulSoup", "bs4", "beautifulsoup4"),
        ("from google.cloud import bigquery", "google.cloud", "google-cloud-bigquery"),
        ("from airflow_client.client.api import dag_api", "airflow_client", "apache-airflow-client"),
        ("from snowflake.connector import connect", "snowflake", "snowflake-connector-python"),
    ],
)
def test_the_package_to_install_is_named(
    statement: str, missing: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever is installed here.
    monkeypatch.setattr(missing_modules, "_version", lambda _: None)
    message = explain(import_failure(statement, missing), "/dags/a.py")["message"]
    assert re.search(rf"install \S*{re.escape(distribution)} in ", message), message


def test_a_provider_that_is_no_longer_made_is_not_to_be_installed() -> None:
    statement = "from airflow.providers.qubole.operators.qubole import QuboleOperator"
    message = explain(import_failure(statement, "airflow.providers.qubole"), "/dags/a.py")["message"]
    assert "apache-airflow-providers-qubole is no longer made" in message


def test_an_installed_provider_that_lacks_the_module_is_said_to() -> None:
    missing = "airflow.providers.standard.operators.nowhere"
    message = explain(import_failure(f"import {missing}", missing), "/dags/a.py")["message"]
    assert f"installed apache-airflow-providers-standard {metadata.version('apache-airflow-providers-standard')}" in message


def test_every_published_provider_is_found_by_its_module() -> None:
    """Airflow's own extras name them all."""
    extras = metadata.requires("apache-airflow") or []
    names = {found[1] for extra in extras if (found := re.match(r"apache-airflow-providers-([a-z0-9-]+)", extra))}
    assert len(names) > 80
    for name in names:
        module = f"airflow.providers.{name.replace('-', '.')}.hooks.some"
        assert missing_modules._provider(module) == f"apache-airflow-providers-{name}"
