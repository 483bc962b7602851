"""A small supervisor for tests: the real one is the Rust crate ``tradewind-guest``."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec

PACKAGE_DIR = Path(__file__).resolve().parents[1]
BOOTSTRAP = "import sys; sys.path[0] = sys.argv[1]; from tradewind_guest.zygote import main; main()"


class Supervisor:
    """A zygote and the other ends of its jobs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TRADEWIND_GUEST_ZYGOTE": uuid.uuid4().hex,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, str(PACKAGE_DIR), json.dumps({"home": str(home)})],
            stdin=theirs,
            env=env,
            start_new_session=True,
        )
        theirs.close()
        self.control = ours
        self.events: list[dict[str, Any]] = []
        self.ready = self.wait_event("ready")
        self._next_job = 0

    def close(self) -> None:
        self.control.close()
        self.process.wait(10)

    def wait_event(self, name: str, job: int | None = None, timeout: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and event.get("id") == job:
                    self.events.remove(event)
                    return event
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.control], [], [], left)[0]:
                raise TimeoutError(f"no event {name!r} for job {job}; have {self.events}")
            data = self.control.recv(65536)
            if not data:
                raise EOFError("the zygote is gone")
            self.events.append(json.loads(data))

    def order(self, **order: Any) -> None:
        self.control.send(json.dumps(order).encode())

    def fork(self, kind: str, prelude: dict[str, Any]) -> Job:
        self._next_job += 1
        job = Job(self, self._next_job, kind)
        data = json.dumps(prelude).encode()
        job.channel.sendall(len(data).to_bytes(4, "big") + data)
        return job

    def parse(self, root: Path, file: str, **changes: Any) -> dict[str, Any]:
        """Parse a file; a process that ended without a result gives ``{"exit": event, "output": ...}``."""
        prelude = {
            "dags_root": str(root),
            "file": str(root / file),
            "bundle_name": "dags",
            "memory_limit_bytes": 1 << 30,
            "cpu_limit_secs": 60,
            "import_timeout_secs": 20.0,
            "variables": {},
            "connections": {},
            **changes,
        }
        job = self.fork("parse", prelude)
        return job.result()

    def task(self, root: Path, file: str, dag_id: str, task_id: str, **context: Any) -> TaskResult:
        return self._task(root, context).converse(startup(dag_id, task_id, file, **context))

    def start(self, root: Path, file: str, dag_id: str, task_id: str) -> Job:
        """Begin a task and leave it to itself."""
        job = self._task(root, {})
        job.reply(0, startup(dag_id, task_id, file))
        return job

    def _task(self, root: Path, context: dict[str, Any]) -> Job:
        prelude = {
            "env": context.pop("env", {}),
            "bundle_name": "dags",
            "bundle_dir": str(root),
            "working_dir": str(self.home),
            "bytecode_dir": str(self.home / "bytecode"),
        }
        return self.fork("task", prelude)


def startup(dag_id: str, task_id: str, file: str, **context: Any) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return {
        "type": "StartupDetails",
        "ti": {
            "id": str(uuid.uuid4()),
            "task_id": task_id,
            "dag_id": dag_id,
            "run_id": "manual",
            "try_number": 1,
            "dag_version_id": str(uuid.uuid4()),
            "map_index": -1,
        },
        "dag_rel_path": file,
        "bundle_info": {"name": "dags", "version": None},
        "start_date": now,
        "ti_context": {
            "dag_run": {
                "dag_id": dag_id,
                "run_id": "manual",
                "logical_date": "2026-01-02T00:00:00Z",
                "data_interval_start": "2026-01-02T00:00:00Z",
                "data_interval_end": "2026-01-02T00:00:00Z",
                "run_after": "2026-01-02T00:00:00Z",
                "start_date": now,
                "end_date": None,
                "run_type": "manual",
                "state": "running",
                "conf": {},
                "consumed_asset_events": [],
                "partition_key": None,
            },
            "max_tries": 0,
            "should_retry": False,
            **context,
        },
        "sentry_integration": "",
    }


class TriggerHost:
    """The supervisor's end of a process that runs triggers."""

    def __init__(self, supervisor: Supervisor, bundle: Path | None, **changes: Any) -> None:
        prelude = {
            "env": {},
            "bundle_name": "dags",
            "bundle_dir": bundle and str(bundle),
            "bytecode_dir": None,
            "working_dir": str(supervisor.home),
            "block_warn_secs": 0.5,
            "block_limit_secs": 30.0,
            **changes,
        }
        self.job = supervisor.fork("triggers", prelude)
        self.job.channel.settimeout(20)
        self.log_lines: list[dict[str, Any]] = []
        self.questions: list[tuple[str, int]] = []
        self._log_changed = threading.Condition()
        self._log_ended = False
        # Read all the time: a full pipe would hold the host's loop up.
        threading.Thread(target=self._read_log, daemon=True).start()
        self._said = b""

    def start(self, number: int, classpath: str, kwargs: dict[str, Any], template: Any = None) -> None:
        ti = startup("d", "t", "d.py")["ti"]
        order = {
            "type": "RunTrigger",
            "number": number,
            "name": f"trigger {number}",
            "classpath": classpath,
            "kwargs": kwargs,
            "ti": ti,
            "timeout_after": None,
            "template": template,
        }
        self.job.reply(0, order)

    def cancel(self, number: int, kill: bool = False) -> None:
        self.job.reply(0, {"type": "CancelTrigger", "number": number, "kill": kill})

    def hear(self) -> dict[str, Any]:
        """Wait for what becomes of a trigger, answering questions meanwhile."""
        while True:
            number, body, *rest = self._frame()
            if number == 0:
                return body
            self.job.reply(number, self.answer(body, rest[1]))

    def answer(self, body: dict[str, Any], trigger: int) -> dict[str, Any] | None:
        self.questions.append((body["type"], trigger))
        match body["type"]:
            case "GetVariable":
                return {"type": "VariableResult", "key": body["key"], "value": f"{body['key']} of {trigger}"}
            case "GetDRCount":
                return {"type": "DRCount", "count": 1}
            case "GetDagRunState":
                return {"type": "DagRunStateResult", "state": "success"}
        return answer(body)

    def _frame(self) -> list[Any]:
        while len(self._said) < 4 or len(self._said) < 4 + int.from_bytes(self._said[:4], "big"):
            chunk = self.job.channel.recv(65536)
            if not chunk:
                raise EOFError("the trigger host closed its channel")
            self._said += chunk
        size = int.from_bytes(self._said[:4], "big")
        frame, self._said = self._said[4 : 4 + size], self._said[4 + size :]
        return msgspec.msgpack.decode(frame)

    def _read_log(self) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while chunk := self.job.logs.recv(65536):
                *lines, buffer = (buffer + chunk).split(b"\n")
                with self._log_changed:
                    self.log_lines += [json.loads(line) for line in lines]
                    self._log_changed.notify_all()
        with self._log_changed:
            self._log_ended = True
            self._log_changed.notify_all()

    def log(self, number: int) -> list[dict[str, Any]]:
        """Wait for the end of a trigger's log, or of all logs."""
        with self._log_changed:
            ended = self._log_changed.wait_for(lambda: self._log_ended or any(
                line.get("end") and line.get("trigger_id") == number for line in self.log_lines
            ), 20)
        assert ended, f"the log of trigger {number} does not end"
        return [line for line in self.log_lines if line.get("trigger_id") == number]

    def close(self) -> None:
        self.job.channel.close()


class WarmFile:
    """A warm file process and its control channel."""

    def __init__(self, supervisor: Supervisor, root: Path, file: str, **changes: Any) -> None:
        supervisor._next_job += 1
        self.number = supervisor._next_job
        self.supervisor, self.root, self.file = supervisor, root, file
        self.home = supervisor.home
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        work = root.parent / f"{root.name}-work-{self.number}"
        work.mkdir()
        prelude = {
            "bundle_name": "dags",
            "bundle_dir": str(root),
            "working_dir": str(work),
            "bytecode_dir": str(self.home / "bytecode" / f"warm-{self.number}"),
            "dag_rel_path": file,
            "own_env": ["OWN"],
            "is_known": False,
            **changes,
        }
        self.control.send(json.dumps(prelude).encode())
        order = json.dumps({"op": "fork", "id": self.number, "kind": "warm"}).encode()
        socket.send_fds(supervisor.control, [order], [theirs.fileno()])
        theirs.close()
        self.events: list[dict[str, Any]] = []
        self._next_job = self.number * 1_000_000
        self.control.settimeout(60)
        answer = json.loads(self.control.recv(65536) or '{"event": "gone"}')
        self.refusal = answer.get("why")
        self.pid = answer.get("pid")

    wait_event = Supervisor.wait_event
    order = Supervisor.order
    fork = Supervisor.fork
    task = Supervisor.task
    start = Supervisor.start
    _task = Supervisor._task

    def close(self) -> None:
        self.control.close()
        self.supervisor.wait_event("exited", self.number)


class TaskResult:
    """What a task said and did."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.stdout = b""
        self.stderr = b""
        self.logs: list[dict[str, Any]] = []
        self.exit: dict[str, Any] = {}

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


class Job:
    """The supervisor's ends of one forked job."""

    def __init__(self, supervisor: Supervisor | WarmFile, number: int, kind: str) -> None:
        self.supervisor = supervisor
        self.number = number
        pairs = [socket.socketpair() for _ in range(4)]
        self.channel, self.stdout, self.stderr, self.logs = (ours for ours, _ in pairs)
        order = json.dumps({"op": "fork", "id": number, "kind": kind}).encode()
        socket.send_fds(supervisor.control, [order], [theirs.fileno() for _, theirs in pairs])
        for _, theirs in pairs:
            theirs.close()

    def result(self) -> dict[str, Any]:
        data = b"".join(iter(lambda: self.channel.recv(65536), b""))
        if data:
            return json.loads(data[4:])
        event = self.supervisor.wait_event("exited", self.number)
        return {"exit": event, "output": drain(self.stderr)}

    def converse(self, start: dict[str, Any]) -> TaskResult:
        """Answer every request with the least that the SDK accepts, until the process has ended."""
        result = TaskResult()
        self.reply(0, start)
        buffers = {self.channel: b"", self.stdout: b"", self.stderr: b"", self.logs: b""}
        open_ends = set(buffers)
        while open_ends:
            for sock in select.select(list(open_ends), [], [], 30)[0]:
                chunk = sock.recv(65536)
                if not chunk:
                    open_ends.discard(sock)
                buffers[sock] += chunk
            while len(frame := buffers[self.channel]) >= 4:
                size = int.from_bytes(frame[:4], "big")
                if len(frame) < 4 + size:
                    break
                number, body, *_ = msgspec.msgpack.decode(frame[4 : 4 + size])
                buffers[self.channel] = frame[4 + size :]
                result.messages.append(body)
                with contextlib.suppress(BrokenPipeError):
                    self.reply(number, answer(body))
        result.stdout, result.stderr = buffers[self.stdout], buffers[self.stderr]
        result.logs = [json.loads(line) for line in buffers[self.logs].splitlines()]
        result.exit = self.supervisor.wait_event("exited", self.number)
        return result

    def reply(self, number: int, body: dict[str, Any] | None) -> None:
        data = msgspec.msgpack.encode([number, body, None])
        self.channel.sendall(len(data).to_bytes(4, "big") + data)


def answer(body: dict[str, Any]) -> dict[str, Any] | None:
    match body["type"]:
        case "GetXCom":
            return {"type": "XComResult", "key": body["key"], "value": None}
        case "GetXComSequenceSlice":
            return {"type": "XComSequenceSliceResult", "root": []}
        case "GetVariable":
            return {"type": "ErrorResponse", "error": "VARIABLE_NOT_FOUND", "detail": {}}
        case "GetTaskStates":
            states = {"t": "running", "mapped_0": "success", "mapped_1": "failed", "later": None}
            return {"type": "TaskStatesResult", "task_states": {body["run_ids"][0]: states}}
    return None


def drain(sock: socket.socket) -> str:
    return b"".join(iter(lambda: sock.recv(65536), b"")).decode(errors="replace")
