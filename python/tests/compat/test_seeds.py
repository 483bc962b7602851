"""All seed DAG files, in the base environment: each loads, or lacks a package that is really not there.

tests/acceptance loads them with all their packages, and runs them.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from supervisor import Supervisor

ACCEPTANCE = Path(__file__).resolve().parents[3] / "tests" / "acceptance"
sys.path.append(str(ACCEPTANCE))

from expected import DAGS, WRONG  # noqa: E402

SEEDS = ACCEPTANCE / "seed_dags"
FILES = sorted(path.name for path in SEEDS.glob("*.py"))

#: Uses of old names that the files are told of, beside what Airflow itself still redirects.
USES = {
    "000_ml_retraining_basic.py": [(4, "airflow.utils.dates.days_ago"), (29, "DAG(schedule_interval=)")],
    "000_callbacks_retries.py": [(37, "context key execution_date")],
    "002_schedule_interval.py": [(8, "DAG(schedule_interval=)")],
    "001_dynamic_dags.py": [(24, "DAG(schedule_interval=)")],
}


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def test_the_table_has_every_file() -> None:
    assert sorted({*DAGS, *WRONG}) == FILES


@pytest.mark.parametrize("file", FILES)
def test_loads(supervisor: Supervisor, file: str) -> None:
    result = supervisor.parse(SEEDS, file)
    if result["errors"]:
        [error] = result["errors"]
        missing = re.match(r"ModuleNotFoundError: No module named '([\w.]+)'", error["message"])
        if missing:
            assert not is_installed(missing[1]), error
            assert not missing[1].startswith("airflow.") or missing[1].startswith("airflow.providers."), error
        else:
            line, _, meant = WRONG[file]
            assert error["line"] == line
            assert meant in error["message"]
        return
    assert {dag["dag"]["dag_id"]: len(dag["dag"]["tasks"]) for dag in result["dags"]} == DAGS[file]
    assert result["warnings"] == []
    told = [(use["line"], use["old"]) for use in result["deprecations"]]
    for use in USES.get(file, []):
        assert use in told
    # Whatever Airflow 3 removed has been told by its modern name.
    assert all(use["new"] and use["file"] == file and use["line"] for use in result["deprecations"])
