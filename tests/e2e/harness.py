"""Starts Tradewind as users do and talks to it through its CLI."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


def binary() -> Path:
    path = Path(os.environ.get("TRADEWIND_TEST_BINARY", ROOT / "target/debug/tradewind"))
    assert path.exists(), f"no binary at {path}; run `make test`, which builds it"
    return path


def python() -> Path:
    path = Path(os.environ.get("TRADEWIND_TEST_PYTHON", ROOT / ".venv/bin/python"))
    assert path.exists(), f"no interpreter at {path}; run `make test`, or python/prepare.sh .venv"
    return path


def eventually(what: str, check: Callable[[], object], patience: float = PATIENCE) -> object:
    """Waits until `check` answers something true; an error counts as "not yet"."""
    deadline = time.monotonic() + patience
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return last
        except (CliError, KeyError, IndexError, StopIteration) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {patience:.0f} s; last: {last!r}")


class CliError(Exception):
    """The CLI ended with another code than 0."""

    def __init__(self, args: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"tradewind {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr


class Client:
    """Calls the CLI with an environment of its own."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        self.env = env
        self.cwd = cwd

    def run(self, *args: str, timeout: float = 120) -> str:
        """Standard output; raises CliError when it fails."""
        done = subprocess.run(
            [binary(), *args], env=self.env, cwd=self.cwd, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise CliError(args, done)
        return done.stdout

    def json(self, *args: str, timeout: float = 120):
        """The answer of a command that lists or shows something."""
        return json.loads(self.run(*args, "-o", "json", timeout=timeout))

    def fails(self, *args: str) -> CliError:
        """The error of a command that must fail."""
        try:
            out = self.run(*args)
        except CliError as error:
            return error
        raise AssertionError(f"tradewind {' '.join(args)} succeeded:\n{out}")

    # --- shorthands -------------------------------------------------------------------------------------------------

    def dag(self, dag_id: str):
        return next(dag for dag in self.json("dags", "list") if dag["dag_id"] == dag_id)

    def wait_for_dag(self, dag_id: str) -> None:
        eventually(f"loading {dag_id}", lambda: self.dag(dag_id))

    def trigger(self, dag_id: str, *args: str) -> str:
        """Unpauses the DAG, triggers a run and answers its id."""
        self.run("dags", "unpause", dag_id)
        return self.json("dags", "trigger", dag_id, *args)["run_id"]

    def run_state(self, dag_id: str, run_id: str) -> str:
        return next(run["state"] for run in self.json("dags", "list-runs", dag_id) if run["run_id"] == run_id)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict]:
        rows = self.json("tasks", "states-for-dag-run", dag_id, run_id)
        return {row["task_id"]: row for row in rows}

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {task_id: row["state"] for task_id, row in self.tasks(dag_id, run_id).items()}

    def finish(self, dag_id: str, run_id: str, patience: float = PATIENCE) -> str:
        """Waits for the end of a run and answers its state."""

        def over() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in ("success", "failed") else None

        try:
            return str(eventually(f"the end of {dag_id} {run_id}", over, patience))
        except AssertionError as error:
            raise AssertionError(f"{error}; tasks: {self.states(dag_id, run_id)}") from error

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, *states: str, patience: float = PATIENCE) -> dict:
        def there() -> dict | None:
            row = self.tasks(dag_id, run_id)[task_id]
            return row if row["state"] in states else None

        found = eventually(f"{dag_id}.{task_id} in {states}", there, patience)
        assert isinstance(found, dict)
        return found

    def why(self, dag_id: str, run_id: str, task_id: str) -> str:
        return self.run("tasks", "why", dag_id, run_id, task_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value"):
        rows = self.json("xcom", "list", dag_id, run_id)
        return next(row["value"] for row in rows if row["task_id"] == task_id and row["key"] == key)

    def import_errors(self) -> dict[str, str]:
        """All that is wrong with each file, by path."""
        found: dict[str, str] = {}
        for row in self.json("dags", "list-import-errors"):
            found[row["filepath"]] = f"{found.get(row['filepath'], '')}{row['error']}\n"
        return found


def clean_env(**more: str) -> dict[str, str]:
    """The environment of a process under test: nothing of ours but what every process has."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
    return {**keep, "NO_COLOR": "1", **more}


def uv_env() -> dict[str, str]:
    """What uv needs to reach the package index from here: its own settings and those of TLS and proxies."""
    names = ("UV_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}


class Process:
    """A Tradewind process with its log."""

    def __init__(self, args: list[str], env: dict[str, str], cwd: Path, log: Path) -> None:
        self.log = log
        self._file = log.open("ab")
        self.popen = subprocess.Popen(
            [binary(), *args], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._file
        )

    def kill(self, sig: int = signal.SIGKILL) -> None:
        self.popen.send_signal(sig)
        if sig == signal.SIGKILL:
            self.popen.wait(30)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(30)
                raise AssertionError(f"the process did not end after SIGTERM; log:\n{self.tail()}") from None
        self._file.close()
        return self.popen.returncode

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self) -> str:
        return "\n".join(self.text().splitlines()[-40:])


class Standalone:
    """`tradewind standalone` on a DAG folder of its own."""

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.dags = folder / "dags"
        self.home = folder / "home"
        self.dags.mkdir(parents=True, exist_ok=True)
        defaults = {
            "TRADEWIND__HOME__DIR": str(self.home),
            "TRADEWIND__PYTHON__INTERPRETER": str(python()),
            "TRADEWIND__PYTHON__GUEST_DIR": str(ROOT / "python"),
            "TRADEWIND__DAGS__FOLDER": str(self.dags),
            "TRADEWIND__DAGS__SCAN_SECS": "1",
            "TRADEWIND__WORKER__QUEUES": "default,ml",
        }
        self.env = clean_env(**{**defaults, **(env or {})})
        self.process: Process | None = None
        self.client = Client(self.env, folder)

    def write(self, name: str, text: str) -> Path:
        path = self.dags / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self) -> Standalone:
        args = ["standalone", "--listen", "127.0.0.1:0"]
        begin = len(self.folder.joinpath("standalone.log").read_text()) if self.process else 0
        self.process = Process(args, self.env, self.folder, self.folder / "standalone.log")

        def address() -> str | None:
            assert self.process
            assert self.process.popen.poll() is None, f"standalone ended:\n{self.process.tail()}"
            found = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.text()[begin:])
            return found.group(0) if found else None

        self.client.env = {**self.env, "TRADEWIND__CLIENT__SCHEDULERS": str(eventually("the banner", address))}
        eventually("a healthy scheduler", lambda: self.client.run("scheduler", "status"))
        return self

    def stop(self) -> int:
        assert self.process
        return self.process.stop()


@contextmanager
def standalone(folder: Path, **env: str) -> Iterator[Standalone]:
    system = Standalone(folder, env)
    try:
        yield system
    finally:
        if system.process:
            code = system.stop()
            assert code in (0, -signal.SIGKILL), f"standalone ended with {code}:\n{system.process.tail()}"
