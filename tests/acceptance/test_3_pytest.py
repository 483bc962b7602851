"""The tutorials' own tests, run by pytest in the layouts that their rows describe."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from world import ROOT, SEEDS, environment


def pytest_in(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the folder's tests as a user of Tradewind does: its Python package on the path, its layer loaded by pytest."""
    base = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
    return subprocess.run(
        [environment("DAGS") / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, "tests"],
        cwd=folder, capture_output=True, text=True, timeout=240, check=False,
        env={**base, "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PYTHONPATH": f"{ROOT}/python:{folder}", **env},
    )  # fmt: skip


PLUGIN = "tradewind_guest.compat.pytest_plugin"


def layout(name: str, dag: str, as_name: str, *tests: str) -> Path:
    folder = Path("/tmp") / name
    for part in ("dags", "tests", "home"):
        (folder / part).mkdir(parents=True)
    shutil.copy(SEEDS / dag, folder / "dags" / as_name)
    for test in tests:
        # Their names do not begin with `test_`, so pytest would not look at them.
        shutil.copy(SEEDS / test, folder / "tests" / f"test_{test.removesuffix('.py')[4:].removeprefix('test_')}.py")
    return folder


def test_000_test_dags() -> None:
    folder = layout("project_000", "000_ml_retraining_basic.py", "ml_retraining_basic.py", "000_test_dags.py")
    done = pytest_in(folder)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_000_test_dag_run() -> None:
    folder = layout("project_000_run", "000_ml_retraining_basic.py", "ml_retraining_basic.py", "000_test_dag_run.py")
    done = pytest_in(folder)
    # As written it cannot pass: the DAG's start date is yesterday, so on 2025-01-01 no task runs.
    assert done.returncode == 1 and "1 failed" in done.stdout, done.stdout + done.stderr
    assert re.search(r"assert .*\.state == State\.SUCCESS", done.stdout), done.stdout


def test_001_test_dags() -> None:
    folder = layout("project_001", "001_my_first_spell.py", "001_my_first_spell.py", "001_test_dags.py")
    done = pytest_in(folder, AIRFLOW__CORE__DAGS_FOLDER=str(folder / "dags"))
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
