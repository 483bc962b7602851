"""What a large DAG folder costs: the first load, an edit, and doing nothing. Part of `make bench`; by itself:
`scripts/bench.sh --only files`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from harness import Client, Standalone, eventually

FILES = 1_000
EDITS = 5

SMALL = """
from datetime import datetime
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

def work(number):
    return number

with DAG({dag_id!r}, schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, tags=[{tag!r}]):
    first = PythonOperator(task_id="first", python_callable=work, op_args=[1])
    second = PythonOperator(task_id="second", python_callable=work, op_args=[2])
    first >> second >> PythonOperator(task_id="third", python_callable=work, op_args=[3])
"""


def write(folder: Path, number: int, tag: str = "first") -> None:
    dag_id = f"small_{number:04}"
    (folder / f"{dag_id}.py").write_text(SMALL.format(dag_id=dag_id, tag=tag))


def loaded(client: Client) -> int:
    return len(client.json("dags", "list", "--limit", "2000"))


def measure(folder: Path, cpu_seconds: Callable[[list[int]], float], idle_secs: float) -> dict[str, float]:
    """Figures of one folder of small Python files under `tradewind standalone`."""
    figures: dict[str, float] = {}
    # The default, which the harness shortens for tests.
    system = Standalone(folder, {"TRADEWIND__DAGS__SCAN_SECS": "10"})
    for number in range(FILES):
        write(system.dags, number)
    begin = time.monotonic()
    system.start()
    try:
        eventually("loading the files", lambda: loaded(system.client) == FILES, patience=600)
        figures[f"first load of {FILES} files s"] = time.monotonic() - begin
        assert system.process
        pids = [system.process.popen.pid]
        time.sleep(15)  # What follows a load, such as its last commits, is not idleness.
        before = cpu_seconds(pids)
        time.sleep(idle_secs)
        figures[f"idle CPU s/min, {FILES} files"] = (cpu_seconds(pids) - before) * 60 / idle_secs
        figures["edit to published s"] = statistics.median(edit(system, number) for number in range(EDITS))
    finally:
        system.stop()
    return figures


def edit(system: Standalone, number: int) -> float:
    """Seconds from saving a file to the log line that says that the scheduler has it."""
    assert system.process
    log = system.process.log
    dag_id = f"small_{number:04}"

    def published() -> int:
        return sum(f"{dag_id}.py" in line and "published" in line for line in log.read_text().splitlines())

    before = published()
    begin = time.monotonic()
    write(system.dags, number, tag="edited")
    while published() == before:
        assert time.monotonic() < begin + 60, f"{dag_id}.py was not published"
        time.sleep(0.01)
    return time.monotonic() - begin
