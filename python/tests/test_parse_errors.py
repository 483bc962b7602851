"""How import failures are put into words. No Airflow needed."""

from __future__ import annotations

import pytest
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
