"""The same DAGs on a distributed installation, and what it survives."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, alive, wait_until
from harness import eventually

CHAIN = """
dag_id: chain
schedule: null
tasks:
{tasks}
"""

LEDGER = '''
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("ledger", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    BashOperator(
        task_id="held",
        bash_command="echo start $AIRFLOW_CTX_TRY_NUMBER $$ >> {folder}/ledger; "
        "until [ -e {folder}/release ]; do sleep 0.05; done; echo end $AIRFLOW_CTX_TRY_NUMBER >> {folder}/ledger",
        retries=2,
        retry_delay=timedelta(seconds=0),
        queue="default",
    ) >> BashOperator(task_id="after", bash_command="true", queue="default")
'''

VERSIONS = """
import sys
from importlib.metadata import version

import humanize
from airflow.sdk import DAG, task

with DAG("versions", schedule=None):
    @task
    def report():
        return {"humanize": version("humanize"), "prefix": sys.prefix}
    report()
"""

LARGE = """
dag_id: large
schedule: null
tasks:
  - id: big
    operator: bash
    command: head -c 2000000 /dev/zero | tr '\\0' 'n'
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    made = Cluster(folder)
    tasks = "\n".join(
        f"  - {{id: t{n}, operator: bash, command: 'sleep 0.1'" + (f", depends_on: [t{n - 1}]" if n else "") + "}"
        for n in range(30)
    )
    (made.dags / "chain.yaml").write_text(CHAIN.format(tasks=tasks))
    (made.dags / "large.yaml").write_text(LARGE)
    (made.dags / "ledger.py").write_text(LEDGER.format(folder=folder))
    try:
        made.start()
        for dag_id in ("ml_retraining", "native_pipeline", "chain", "ledger"):
            made.client.wait_for_dag(dag_id)
        made.client.run("pools", "set", "ml_training", "3", "Models trained at once")
        yield made
    finally:
        made.stop()


def test_one_scheduler_leads_and_one_stands_by(cluster: Cluster) -> None:
    roles = eventually(
        "a leader and a standby",
        lambda: (lambda roles: roles if roles == ["leader", "standby"] else None)(
            sorted(row["role"] for row in cluster.schedulers())
        ),
    )
    assert roles


def test_a_large_xcom_without_shared_storage_names_the_options(cluster: Cluster) -> None:
    cluster.client.wait_for_dag("large")
    run_id = cluster.client.trigger("large")
    assert cluster.client.finish("large", run_id) == "failed"
    note = cluster.client.tasks("large", run_id)["big"]["note"]
    assert "xcom.inline_max_bytes" in note and "xcom.storage_url" in note, note


def test_the_example_runs_and_ml_tasks_stay_on_ml_workers(cluster: Cluster) -> None:
    run_id = cluster.client.trigger("ml_retraining")
    assert cluster.client.finish("ml_retraining", run_id, patience=120) == "success"
    rows = cluster.client.tasks("ml_retraining", run_id).values()
    on_ml = {row["worker"] for row in rows if row["queue"] == "ml" and row["worker"]}
    on_default = {row["worker"] for row in rows if row["queue"] == "default" and row["worker"]}
    assert on_ml and on_ml <= {"worker-ml", "worker-both"}
    assert on_default and on_default <= {"worker-default", "worker-both"}


def test_a_worker_builds_an_environment_from_the_bundle(cluster: Cluster) -> None:
    folder = cluster.dags / "versions"
    folder.mkdir()
    (folder / "requirements.txt").write_text("-r pins/humanize.txt\n")
    (folder / "pins").mkdir()
    (folder / "pins/humanize.txt").write_text("humanize==3.14.0\n")
    (folder / "versions.py").write_text(VERSIONS)
    (folder / "tradewind.toml").write_text('[environments.versions]\nrequirements = "requirements.txt"\n')
    eventually("loading versions", lambda: cluster.client.dag("versions"), 360)
    run_id = cluster.client.trigger("versions")
    assert cluster.client.finish("versions", run_id, patience=360) == "success"
    found = cluster.client.xcom("versions", run_id, "report")
    assert found["humanize"] == "3.14.0"
    worker = cluster.client.tasks("versions", run_id)["report"]["worker"]
    own = cluster.dir / worker / "home/worker/environments"
    assert Path(found["prefix"]).parent == own, "each has a folder of its own"
    log = cluster.client.run("tasks", "logs", "versions", run_id, "report")
    assert "waiting for the Python environment" in log


def test_workers_know_neither_dag_folder_nor_database(cluster: Cluster) -> None:
    for name in ("worker-default", "worker-ml", "worker-both"):
        text = (cluster.dir / name / "tradewind.toml").read_text()
        assert str(cluster.dags) not in text
        assert "postgres" not in text
        opened = {str(link) for link in open_files(cluster.pids()[name])}
        assert not any(path.startswith(str(cluster.dags)) for path in opened)


def open_files(pid: int) -> list[Path]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(link.readlink())
        except FileNotFoundError:
            continue
    return found


def test_killing_the_leader_in_mid_run_loses_nothing(cluster: Cluster) -> None:
    leader = cluster.leader()
    run_id = cluster.client.trigger("chain")
    cluster.client.wait_for_task("chain", run_id, "t5", "running", "success")
    cluster.kill(leader)
    begin = time.monotonic()
    other = eventually("the other scheduler leads", lambda: cluster.leader() != leader and cluster.leader())
    took = time.monotonic() - begin
    assert took < 8, f"{other} led only after {took:.1f} s"
    assert cluster.client.finish("chain", run_id) == "success"
    rows = cluster.client.tasks("chain", run_id)
    assert {row["try_number"] for row in rows.values()} == {1}, "no task ran twice because of the leader"
    cluster.launch(leader, "scheduler")
    eventually("the standby is back", lambda: len(cluster.schedulers()) == 2)


def test_killing_a_worker_in_mid_task_retries_it_elsewhere(cluster: Cluster) -> None:
    ledger = cluster.folder / "ledger"
    run_id = cluster.client.trigger("ledger")
    first = cluster.client.wait_for_task("ledger", run_id, "held", "running")
    shell = int(str(eventually("the first line", lambda: ledger.exists() and ledger.read_text().split())[2]))
    cluster.kill(first["worker"])
    eventually("its task dies with it", lambda: not alive(shell))

    def second() -> dict | None:
        row = cluster.client.tasks("ledger", run_id)["held"]
        return row if row["state"] == "running" and row["try_number"] == 2 else None

    row = eventually("the retry on another worker", second)
    assert isinstance(row, dict)
    assert row["worker"] != first["worker"]
    (cluster.folder / "release").touch()
    assert cluster.client.finish("ledger", run_id) == "success"
    lines = [line.split()[:2] for line in ledger.read_text().splitlines()]
    assert lines == [["start", "1"], ["start", "2"], ["end", "2"]]
    cluster.launch(first["worker"], "worker")
    eventually(
        "the worker is back",
        lambda: sum(row["status"] == "active" for row in cluster.client.json("workers", "list")) == 3,
    )


def test_a_paused_worker_stops_its_task_before_it_could_report(cluster: Cluster) -> None:
    """Stopped past its lease, then continued: the leader has given the task away, and the late result changes nothing."""
    (cluster.folder / "release").unlink(missing_ok=True)
    (cluster.folder / "ledger").unlink(missing_ok=True)
    run_id = cluster.client.trigger("ledger")
    first = cluster.client.wait_for_task("ledger", run_id, "held", "running")
    eventually("the first line", lambda: (cluster.folder / "ledger").exists())
    cluster.kill(first["worker"], signal.SIGSTOP)
    try:

        def second() -> dict | None:
            row = cluster.client.tasks("ledger", run_id)["held"]
            return row if row["try_number"] == 2 and row["state"] == "running" else None

        eventually("the retry elsewhere", second)
    finally:
        cluster.kill(first["worker"], signal.SIGCONT)
    (cluster.folder / "release").touch()
    assert cluster.client.finish("ledger", run_id) == "success"
    assert cluster.client.tasks("ledger", run_id)["held"]["try_number"] == 2


def test_an_emptied_queue_is_rebuilt(cluster: Cluster) -> None:
    run_id = cluster.client.trigger("chain")
    for _ in range(5):
        cluster.redis("FLUSHALL")
    assert cluster.client.finish("chain", run_id) == "success"


def test_tasks_run_while_redis_is_frozen(cluster: Cluster) -> None:
    cluster.redis("CLIENT", "PAUSE", "8000")
    run_id = cluster.client.trigger("chain")
    assert cluster.client.finish("chain", run_id) == "success"


def test_a_crash_of_postgres_in_mid_run_is_survived(cluster: Cluster) -> None:
    run_id = cluster.client.trigger("chain")
    cluster.client.wait_for_task("chain", run_id, "t5", "running", "success")
    start = cluster.crash_postgres()
    down_until = time.monotonic() + 2
    try:
        wait_until(down_until)
    finally:
        start()
    assert cluster.client.finish("chain", run_id) == "success"
    rows = cluster.client.tasks("chain", run_id)
    assert {row["try_number"] for row in rows.values()} == {1}, "no task ran twice because of the crash"


def test_draining_a_worker_finishes_its_task(cluster: Cluster) -> None:
    (cluster.folder / "release").unlink(missing_ok=True)
    run_id = cluster.client.trigger("ledger")
    row = cluster.client.wait_for_task("ledger", run_id, "held", "running")
    worker = row["worker"]
    pid = cluster.pids()[worker]
    cluster.client.run("workers", "drain", worker)
    eventually(
        "draining shows",
        lambda: any(
            info["name"] == worker and info["status"] == "draining" for info in cluster.client.json("workers", "list")
        ),
    )
    (cluster.folder / "release").touch()
    assert cluster.client.finish("ledger", run_id) == "success"
    assert cluster.client.tasks("ledger", run_id)["held"]["try_number"] == row["try_number"]
    eventually("the worker ends by itself", lambda: not alive(pid))
    cluster.launch(worker, "worker")
