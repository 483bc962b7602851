"""Starts a real Airflow: API server, scheduler with LocalExecutor, DAG processor and triggerer, on Postgres."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def secret(purpose: str) -> str:
    """A key of 32 bytes. It guards nothing: the server listens on the loopback for the time of a run."""
    return base64.urlsafe_b64encode(hashlib.sha256(purpose.encode()).digest()).decode()


class AirflowServer:
    """All components of one Airflow, with their logs, in a folder of its own."""

    def __init__(self, folder: Path, venv: Path, database: str, dags: Path, journal: Path) -> None:
        self.folder = folder
        self.venv = venv
        self.database = database
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "HOME", "TMPDIR") if name in os.environ},
            **self.settings(dags),
            "CONFORMANCE_JOURNAL": str(journal),
        }

    def settings(self, dags: Path) -> dict[str, str]:
        """Airflow's defaults but for addresses, secrets, and how often it looks for work."""
        options = {
            "AIRFLOW_HOME": self.folder,
            "AIRFLOW__CORE__DAGS_FOLDER": dags,
            "AIRFLOW__CORE__PLUGINS_FOLDER": HERE / "plugins",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
            "AIRFLOW__CORE__FERNET_KEY": secret("fernet"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": self.port,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secret("api"),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "10000",
            "AIRFLOW__API_AUTH__JWT_SECRET": secret("jwt"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database.replace("postgres://", "postgresql+psycopg2://"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": self.folder / "logs",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__EMAIL__EMAIL_BACKEND": "conformance_callbacks.send_email",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return {name: str(value) for name, value in options.items()}

    def airflow(self, *args: str, timeout: float = 300) -> str:
        """Runs a command of Airflow's own CLI."""
        done = subprocess.run(
            [self.venv / "bin/airflow", *args],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"airflow {' '.join(args)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
            )
        return done.stdout

    def start(self) -> None:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self.airflow("db", "migrate")
        for name in COMPONENTS:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [self.venv / "bin/airflow", name],
                    env=self.env,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.wait_until_healthy()

    def wait_until_healthy(self, patience: float = 180) -> None:
        deadline = time.monotonic() + patience
        health: object = None
        while time.monotonic() < deadline:
            self.check_processes()
            try:
                with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:
                    health = json.load(answer)
                parts = [health[part]["status"] for part in ("scheduler", "dag_processor", "triggerer", "metadatabase")]
                if all(part == "healthy" for part in parts):
                    return
            except (urllib.error.URLError, OSError) as error:
                health = error
            time.sleep(1)
        raise RuntimeError(f"Airflow is not healthy after {patience:.0f} s: {health}; its logs are in {self.folder}")

    def check_processes(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"airflow {name} ended with {process.returncode}:\n{tail}")

    def stop(self) -> None:
        """Ends the process groups that `start` made."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self.processes.clear()
