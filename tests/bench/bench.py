"""`make bench`: what a task costs, on SQLite standalone and on Postgres + Redis, in one run on one machine.

Workloads (the same as those of the peers' figures in docs/benchmarks.md):
  chain    30 tasks, one after the other: milliseconds a hop, from the run's start to its end
  fan-out  a root, 200 parallel tasks, a join: tasks a second, from the run's start to its end
  many     50 DAGs of 10 tasks in two levels, released at one moment: tasks a second until the last one ended
each for a native no-op, a native `bash` (`true`) and a Python task (`PythonOperator`); then start-up time, and memory
(PSS of all processes, Postgres and Redis included) and CPU while idle with the DAGs of the workloads loaded.

Then, on SQLite standalone:
  tasks    CPU of the process of one Python task (`PythonOperator` returning None), from fork to end, medians: of a file of
           10 tasks and of one of 202, with warm DAG files and without (tests/bench/tasks.py)
  files    a folder of 1,000 small Python DAG files: first load, CPU while idle, edit to published (tests/bench/files.py)

Prints a table and writes JSON to --out. Figures are medians over --rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import files  # noqa: E402
import tasks  # noqa: E402
from cluster import Cluster  # noqa: E402
from harness import Client, Standalone, eventually  # noqa: E402

KINDS = ("noop", "bash", "python")
CHAIN, WIDE, DAGS, TASKS = 30, 200, 50, 10

PYTHON_HEAD = """
from datetime import datetime
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

def nothing():
    return None

def make(dag_id, edges):
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, max_active_tasks=1000):
        tasks = {}
        for name, upstream in edges:
            tasks[name] = PythonOperator(task_id=name, python_callable=nothing, pool="bench")
            for other in upstream:
                tasks[other] >> tasks[name]
"""


def chain() -> list[tuple[str, list[str]]]:
    return [(f"t{n}", [f"t{n - 1}"] if n else []) for n in range(CHAIN)]


def fan_out() -> list[tuple[str, list[str]]]:
    middle = [f"m{n}" for n in range(WIDE)]
    return [("root", []), *((name, ["root"]) for name in middle), ("join", middle)]


def two_levels() -> list[tuple[str, list[str]]]:
    first = [f"a{n}" for n in range(TASKS // 2)]
    return [*((name, []) for name in first), *((f"b{n}", first) for n in range(TASKS // 2))]


def shapes(kind: str) -> dict[str, list[tuple[str, list[str]]]]:
    many = {f"many_{kind}_{n:02}": two_levels() for n in range(DAGS)}
    return {f"chain_{kind}": chain(), f"fan_{kind}": fan_out(), **many}


def write_dags(folder: Path, kinds: tuple[str, ...]) -> None:
    """One YAML file for the native kinds, one Python file a DAG: each task loads its own file, as it would for users."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if kind == "python":
            for dag_id, edges in shapes(kind).items():
                (folder / f"{dag_id}.py").write_text(f"{PYTHON_HEAD}\nmake({dag_id!r}, {edges!r})\n")
            continue
        documents = []
        for dag_id, edges in shapes(kind).items():
            rows = []
            for name, upstream in edges:
                command = ", command: 'true'" if kind == "bash" else ""
                rows.append(
                    f"  - {{id: {name}, operator: {kind}{command}, pool: bench, depends_on: [{', '.join(upstream)}]}}"
                )
            documents.append(
                f"dag_id: {dag_id}\nschedule: null\nmax_active_tasks: 1000\ntasks:\n" + "\n".join(rows) + "\n"
            )
        (folder / f"{kind}.yaml").write_text("---\n".join(documents))


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def timed_run(client: Client, dag_id: str) -> float:
    """Seconds from the start of a run to its end."""
    run_id = client.json("dags", "trigger", dag_id)["run_id"]
    state = client.finish(dag_id, run_id, patience=300)
    assert state == "success", f"{dag_id}: {state}"
    run = next(run for run in client.json("dags", "list-runs", dag_id) if run["run_id"] == run_id)
    return moment(run["end_date"]) - moment(run["start_date"])


def timed_many(client: Client, kind: str) -> float:
    """Seconds from opening the pool to the end of the last of all runs."""
    client.run("pools", "set", "bench", "0", "closed")
    runs = {
        dag_id: client.json("dags", "trigger", dag_id)["run_id"]
        for dag_id in shapes(kind)
        if dag_id.startswith("many_")
    }
    begin = time.time()
    client.run("pools", "set", "bench", "-1", "open")
    last = 0.0
    for dag_id, run_id in runs.items():
        assert client.finish(dag_id, run_id, patience=300) == "success"
        run = next(run for run in client.json("dags", "list-runs", dag_id) if run["run_id"] == run_id)
        last = max(last, moment(run["end_date"]))
    return last - begin


def tree(pids: list[int]) -> list[int]:
    """Processes with all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    stack = list(pids)
    while stack:
        pid = stack.pop()
        found.append(pid)
        stack.extend(children.get(pid, []))
    return found


def pss_mib(pids: list[int]) -> float:
    total = 0
    for pid in tree(pids):
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total / 1024


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in tree(pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # Its own time, and that of the children that it has waited for.
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def sqlite_system(folder: Path, kinds: tuple[str, ...]) -> Iterator[tuple[Client, list[int], float]]:
    system = Standalone(folder, {"TRADEWIND__WORKER__SLOTS": "8"})
    write_dags(system.dags, kinds)
    begin = time.monotonic()
    system.start()
    started = time.monotonic() - begin
    try:
        assert system.process
        yield system.client, [system.process.popen.pid], started
    finally:
        system.stop()


@contextmanager
def postgres_system(folder: Path, kinds: tuple[str, ...]) -> Iterator[tuple[Client, list[int], float]]:
    folder.mkdir(parents=True, exist_ok=True)
    system = Cluster(folder)
    for file in system.dags.iterdir():
        file.unlink()
    write_dags(system.dags, kinds)
    # Commits are durable here: that is what is measured.
    system.env["TRADEWIND_TEST_FSYNC"] = "on"
    system.env["TRADEWIND_CLUSTER"] = "small"
    system.env.pop("TRADEWIND__SCHEDULER__TASK_LEASE_SECS")
    begin = time.monotonic()
    system.start()
    started = time.monotonic() - begin
    try:
        yield system.client, [*system.pids().values(), *system.service_pids()], started
    finally:
        system.stop()


def measure(name: str, opened, kinds: tuple[str, ...], rounds: int, idle_secs: float) -> dict:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tradewind-bench.") as folder, opened(Path(folder) / "s", kinds) as (
        client,
        pids,
        started,
    ):
        figures["start-up s"] = started
        client.run("pools", "set", "bench", "-1", "no limit")
        wanted = {dag_id for kind in kinds for dag_id in shapes(kind)}
        eventually(
            "loading the DAGs",
            lambda: {dag["dag_id"] for dag in client.json("dags", "list", "--limit", "1000")} >= wanted,
            patience=300,
        )
        for dag_id in sorted(wanted):
            client.run("dags", "unpause", dag_id)
        before = cpu_seconds(pids)
        time.sleep(idle_secs)
        figures["idle CPU s/min"] = (cpu_seconds(pids) - before) * 60 / idle_secs
        figures["idle PSS MiB"] = pss_mib(pids)
        for kind in kinds:
            timed_run(client, f"chain_{kind}")
            hops = [timed_run(client, f"chain_{kind}") / CHAIN * 1000 for _ in range(rounds)]
            before = cpu_seconds(pids)
            wide = [(WIDE + 2) / timed_run(client, f"fan_{kind}") for _ in range(rounds)]
            cpu = (cpu_seconds(pids) - before) / ((WIDE + 2) * rounds) * 1000
            many = [DAGS * TASKS / timed_many(client, kind) for _ in range(rounds)]
            figures[f"{kind} chain ms/hop"] = statistics.median(hops)
            figures[f"{kind} fan-out tasks/s"] = statistics.median(wide)
            figures[f"{kind} fan-out CPU ms/task"] = cpu
            figures[f"{kind} many tasks/s"] = statistics.median(many)
            print(f"  {name} {kind}: done", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-secs", type=float, default=15)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--systems", default="sqlite,postgres")
    parser.add_argument("--only", choices=("systems", "tasks", "files"), help="measure this part alone")
    parser.add_argument("--out", type=Path, default=Path("target/bench.json"))
    options = parser.parse_args()
    kinds = tuple(options.kinds.split(","))
    systems = {"sqlite": sqlite_system, "postgres": postgres_system}
    results: dict[str, dict] = {}
    if options.only in (None, "systems"):
        for name in options.systems.split(","):
            results[name] = measure(name, systems[name], kinds, options.rounds, options.idle_secs)
    parts: dict[str, float] = {}
    if options.only in (None, "tasks"):
        parts |= tasks.measure()
    if options.only in (None, "files"):
        with tempfile.TemporaryDirectory(prefix="tradewind-bench.") as folder:
            parts |= files.measure(Path(folder) / "s", cpu_seconds, max(options.idle_secs, 30))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, medians of {options.rounds} rounds\n")
    if results:
        columns = list(results)
        print("| figure | " + " | ".join(columns) + " |")
        print("|---|" + "---|" * len(columns))
        for figure in results[columns[0]]:
            row = " | ".join(f"{results[name][figure]:.2f}" for name in columns)
            print(f"| {figure} | {row} |")
        print()
    if parts:
        print("| figure | |\n|---|---|")
        for figure, value in parts.items():
            print(f"| {figure} | {value:.2f} |")
        results["parts"] = parts
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2))
    print(f"\nwritten to {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
