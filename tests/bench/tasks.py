"""CPU of one Python task's process. Part of `make bench`; by itself: `scripts/bench.sh --only tasks`.

Talks to the guest itself, with the small supervisor of `python/tests`, so that nothing but the task is measured: neither the
worker nor the scheduler.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "tests"))

from supervisor import Supervisor, WarmFile  # noqa: E402

ROUNDS = 41

HEAD = """
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

def nothing():
    return None

with DAG("d") as dag:
    middle = [PythonOperator(task_id=f"m{n}", python_callable=nothing) for n in range(%d)]
    PythonOperator(task_id="root", python_callable=nothing) >> middle
    middle >> PythonOperator(task_id="join", python_callable=nothing)
"""


def cpu_ms(forks: Supervisor | WarmFile, root: Path, file: str) -> float:
    exits = [forks.task(root, file, "d", "root").exit for _ in range(ROUNDS)]
    assert all(end["code"] == 0 for end in exits), exits
    return statistics.median((end["user"] + end["system"]) * 1000 for end in exits)


def pss_mib(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def private_mib(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_")) / 1024


def measure() -> dict[str, float]:
    """Medians of many tasks, one after the other."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tradewind-bench.") as folder:
        home, root = Path(folder) / "home", Path(folder) / "dags"
        home.mkdir()
        root.mkdir()
        supervisor = Supervisor(home)
        try:
            for tasks in (10, 202):
                file = f"d{tasks}.py"
                (root / file).write_text(HEAD % (tasks - 2))
                figures[f"task of a {tasks}-task file, loaded by itself: CPU ms"] = cpu_ms(supervisor, root, file)
                warm = WarmFile(supervisor, root, file)
                assert warm.refusal is None, warm.refusal
                figures[f"task of a {tasks}-task file, kept loaded: CPU ms"] = cpu_ms(warm, root, file)
                figures[f"warm file of {tasks} tasks: memory of its own MiB"] = private_mib(warm.pid)
                figures[f"warm file of {tasks} tasks: PSS MiB"] = pss_mib(warm.pid)
                warm.close()
        finally:
            supervisor.close()
    return figures
