"""A distributed installation, started by scripts/cluster.sh as `make cluster` does."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from harness import ROOT, Client, binary, clean_env, eventually, python, uv_env


class Cluster:
    """Two schedulers, a DAG processor and three workers, with PostgreSQL and Redis of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dags = folder / "dags"
        self.dags.mkdir()
        for file in (ROOT / "dags").iterdir():
            if file.is_file():
                shutil.copy(file, self.dags / file.name)
        self.dir = folder / "cluster"
        self.env = clean_env(
            TRADEWIND_BINARY=str(binary()),
            TRADEWIND_TEST_PYTHON=str(python()),
            TRADEWIND_DAGS=str(self.dags),
            TRADEWIND_TEST_FSYNC="off",
            # A short lease makes the tests of lost workers short; the protocol is the same.
            TRADEWIND__SCHEDULER__TASK_LEASE_SECS="6",
            TRADEWIND__DAGS__SCAN_SECS="1",
            **uv_env(),
        )
        self.client = Client(self.env, folder)

    def script(self, mode: str) -> None:
        done = subprocess.run(
            [ROOT / "scripts/cluster.sh", mode, self.dir],
            env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=300, check=False,
        )
        assert done.returncode == 0, f"cluster.sh {mode}:\n{done.stdout}"

    def start(self) -> Cluster:
        self.script("start")
        text = (self.dir / "env").read_text()
        for name, value in re.findall(r"export (\w+)='(.*)'", text):
            self.client.env[name] = value
        return self

    def stop(self) -> None:
        self.script("stop")

    # --- its processes ----------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        rows = [line.split() for line in (self.dir / "pids").read_text().splitlines()]
        return {name: int(pid) for name, pid in rows}

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        pid = self.pids()[name]
        os.kill(pid, sig)
        if sig == signal.SIGKILL:
            eventually(f"the end of {name}", lambda: not alive(pid))

    def launch(self, name: str, *args: str) -> None:
        """Starts a process of the cluster again, with its own folder and configuration."""
        with (self.dir / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [binary(), "--config", "tradewind.toml", *args],
                cwd=self.dir / name, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        # Its end must be seen by whoever waits for the process to go: a zombie looks alive.
        threading.Thread(target=child.wait, daemon=True).start()
        text = (self.dir / "pids").read_text()
        (self.dir / "pids").write_text(re.sub(rf"(?m)^{name} .*$", f"{name} {child.pid}", text))

    def leader(self) -> str:
        """The name of the scheduler that leads."""
        return str(eventually("a leader", self._leader))

    def _leader(self) -> str | None:
        for row in self.client.json("workers", "list") and self.schedulers():
            if row["role"] == "leader":
                return row["name"]
        return None

    def schedulers(self) -> list[dict]:
        """The status of each scheduler that answers."""
        found = []
        for address in re.findall(r"http://[0-9.:]+", self.client.env["TRADEWIND__CLIENT__SCHEDULERS"]):
            done = subprocess.run(
                [binary(), "--scheduler", address, "scheduler", "status", "-o", "json"],
                env=self.client.env, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
            )
            if done.returncode == 0:
                import json

                status = json.loads(done.stdout)
                found.append(status.get("scheduler", status))
        return found

    def service_urls(self) -> dict[str, str]:
        done = subprocess.run(
            [ROOT / "scripts/test-services.sh", "env", self.dir / "services"],
            capture_output=True, text=True, timeout=60, check=True,
        )
        return dict(re.findall(r"export (\w+)='?([^'\n]*)'?", done.stdout))

    def service_pids(self) -> list[int]:
        """The server processes of PostgreSQL and Redis; their children follow from them."""
        services = self.dir / "services"
        postgres = Path((services / "postgres.root").read_text().strip()) / "data/postmaster.pid"
        return [int(postgres.read_text().split()[0]), int((services / "redis/redis.pid").read_text())]

    def crash_postgres(self) -> Callable[[], None]:
        """Ends PostgreSQL at once, as a crash does; answers what starts it again."""
        services = self.dir / "services"
        root, binaries, user = ((services / f"postgres.{name}").read_text().strip() for name in ("root", "bin", "user"))
        port = re.search(r"@[^:]+:(\d+)/", (services / "postgres.url").read_text()).group(1)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", "env", "-C", "/", "HOME=/"]
        control = [*(as_user if os.geteuid() == 0 else []), f"{binaries}/pg_ctl", "-D", f"{root}/data", "-w"]

        def pg_ctl(*args: str) -> None:
            subprocess.run([*control, *args], check=True, stdout=subprocess.DEVNULL, timeout=60)

        pg_ctl("stop", "-m", "immediate")
        return lambda: pg_ctl("start", "-l", f"{root}/server.log", "-o", f"-p {port}")

    def redis(self, *command: str) -> str:
        url = self.service_urls()["TRADEWIND_TEST_REDIS_URL"]
        done = subprocess.run(
            ["redis-cli", "-u", url, "--no-auth-warning", *command], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(moment: float) -> None:
    """Waits for a moment of the monotonic clock."""
    while time.monotonic() < moment:
        time.sleep(0.05)
