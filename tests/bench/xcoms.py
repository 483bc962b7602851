"""Pushes and pulls one large XCom, and says how long it took and what memory the processes had at most.

    python tests/bench/xcoms.py [--mib 100]

Scheduler and worker are processes of their own (PostgreSQL and Redis as `scripts/test-services.sh` starts them), the storage is a
folder. Each figure is of one run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from cluster import Cluster  # noqa: E402
from harness import eventually  # noqa: E402

DAG = """
import time
from airflow.sdk import DAG, task

with DAG("xcoms"):
    @task(queue="default")
    def push(ti=None):
        value = "x" * ({mib} << 20)
        begun = time.monotonic()
        ti.xcom_push(key="large", value=value)
        return time.monotonic() - begun

    @task(queue="default")
    def pull(ti=None):
        begun = time.monotonic()
        value = ti.xcom_pull(task_ids="push", key="large")
        assert len(value) == {mib} << 20
        return time.monotonic() - begun

    push() >> pull()
"""


def peak_mib(pid: int) -> float:
    """The high-water mark of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def main() -> None:
    """Run it and print the figures as JSON."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--mib", type=int, default=100)
    mib = arguments.parse_args().mib
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        cluster.env["TRADEWIND__XCOM__STORAGE_URL"] = f"file://{folder}/xcoms"
        (cluster.dags / "xcoms.py").write_text(DAG.format(mib=mib))
        try:
            cluster.start()
            cluster.client.wait_for_dag("xcoms")
            before = {name: peak_mib(pid) for name, pid in cluster.pids().items()}
            run_id = cluster.client.trigger("xcoms")
            assert cluster.client.finish("xcoms", run_id, patience=300) == "success"
            rows = cluster.client.json("tasks", "states-for-dag-run", "xcoms", run_id)
            peaks = {name: peak_mib(pid) for name, pid in cluster.pids().items()}
            figures = {
                "mib": mib,
                "push_seconds": round(cluster.client.xcom("xcoms", run_id, "push"), 2),
                "pull_seconds": round(cluster.client.xcom("xcoms", run_id, "pull"), 2),
                "peak_mib": {
                    name: [round(before[name]), round(peak)] for name, peak in sorted(peaks.items())
                    if name.startswith(("scheduler", "worker"))
                },
                "workers": {row["task_id"]: row.get("worker") for row in rows},
            }
            print(json.dumps(figures, indent=1))
        finally:
            eventually("the end", lambda: cluster.stop() or True)


if __name__ == "__main__":
    main()
