"""A warm file process: it loads one DAG file once, as the task runner would, and then forks its tasks.

It is forked from the zygote for a file whose tasks run often. First a process of its own loads the file under
observation (`watch.py`): a file that does at its top level what cannot be shared between tasks is refused, and each of
its tasks loads it afresh. Then this process loads it with nothing in the way. What that load prints and logs is kept, and
comes again in every task.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from airflow.dag_processing import dagbag
from airflow.dag_processing.bundles import manager
from airflow.sdk.execution_time import task_runner

from tradewind_guest import log_sink, process, residue, streams, task_host, watch
from tradewind_guest.wire import Control

#: Most bytes that a load may print or log: each task repeats them.
_MAX_OUTPUT = 64 * 1024


class Refused(Exception):
    """The file cannot be kept; the text says why."""


class Comms:
    """Stands where a task has its supervisor, notes every question, and answers none."""

    def __init__(self) -> None:
        self.asked: str | None = None

    def send(self, msg: Any) -> NoReturn:
        self.asked = type(msg).__name__
        raise Refused(self.asked)

    async def asend(self, msg: Any) -> NoReturn:
        self.send(msg)


class Loaded:
    """A DAG file as its load left it, with what the load had to say."""

    def __init__(self, prelude: dict[str, Any]) -> None:
        self._file = os.fspath(Path(prelude["bundle_dir"], prelude["dag_rel_path"]))
        self._bundle = Path(prelude["bundle_dir"])
        self._bundle_name = prelude["bundle_name"]
        self._said: list[tuple[int, bytes]] = []
        self._logged: list[bytes] = []
        self._unseeded: weakref.WeakSet[random.Random] = weakref.WeakSet()
        self._numpy_bits: list[Any] = []
        self._bundle_instance: Any = None
        self._bag: Any = None

    def load(self, around: AbstractContextManager[None] | None = None) -> None:
        """Load the file as the task runner does, and refuse what cannot be kept."""
        comms = Comms()
        task_runner.SUPERVISOR_COMMS = comms  # type: ignore[assignment]
        before = residue.Snapshot()
        with log_sink.SINK.kept(self._logged), _unseeded(self._unseeded), streams.kept(self._said), around or nullcontext():
            instance = manager.DagBundlesManager().get_bundle(name=self._bundle_name)
            instance.initialize()
            bag = dagbag.BundleDagBag(
                dag_folder=self._file,
                safe_mode=False,
                load_op_links=False,
                bundle_path=self._bundle,
                bundle_name=self._bundle_name,
            )
        if comms.asked:
            raise Refused(f"it asks the supervisor something while it is loaded ({comms.asked})")
        if bag.import_errors:
            raise Refused("it does not load")
        if why := before.why_not_shared():
            raise Refused(why)
        del task_runner.SUPERVISOR_COMMS
        if sum(map(len, self._logged)) + sum(len(text) for _, text in self._said) > _MAX_OUTPUT:
            raise Refused(f"it prints or logs more than {_MAX_OUTPUT} bytes while it is loaded")
        self._numpy_bits = residue.seeded_by_the_system()
        self._bundle_instance, self._bag = instance, bag

    def hand_over(self) -> None:
        """Have the task runner find the loaded file where it would load it. For a forked task."""
        residue.reseed(self._unseeded, self._numpy_bits)
        stock_bag, stock_manager = dagbag.BundleDagBag, manager.DagBundlesManager

        class Bundles:
            """The bundle's folder, as the manager of bundles gave it when the file was loaded."""

            def get_bundle(_, name: str, version: str | None = None) -> Any:
                task_runner.DagBundlesManager = stock_manager  # type: ignore[misc]
                if (name, version) != (self._bundle_name, None):
                    return stock_manager().get_bundle(name=name, version=version)
                return self._bundle_instance

        def find(**asked: Any) -> Any:
            dagbag.BundleDagBag = stock_bag  # type: ignore[misc]
            if (asked["dag_folder"], asked["bundle_name"]) != (self._file, self._bundle_name):
                return stock_bag(**asked)
            self._repeat()
            return self._bag

        task_runner.DagBundlesManager = Bundles  # type: ignore[assignment,misc]
        dagbag.BundleDagBag = find  # type: ignore[assignment,misc]

    def _repeat(self) -> None:
        for target, text in self._said:
            streams.write_all(target, text)
        if self._logged:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
            for line in self._logged:
                log_sink.SINK.write(_dated(line, now))


def _dated(line: bytes, now: str) -> bytes:
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    if "timestamp" in fields:
        fields["timestamp"] = now
    return json.dumps(fields).encode() + b"\n"


@contextmanager
def _unseeded(found: weakref.WeakSet[random.Random]) -> Iterator[None]:
    """Collect the generators that are seeded from the system's entropy: each task must have its own."""
    seed = random.Random.seed

    def noted(self: random.Random, a: Any = None, version: int = 2) -> None:
        (found.add if a is None else found.discard)(self)
        seed(self, a, version)

    random.Random.seed = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        random.Random.seed = seed  # type: ignore[method-assign]


def run(channel: socket.socket, serve: Callable[[Control, Loaded], None]) -> NoReturn:
    """Load the file that the first packet names, say how that went, and serve forks until told to stop."""
    process.adopt_orphans()
    streams.renew()
    control = Control(channel)
    received = control.receive()
    if received is None:
        os._exit(0)
    prelude = received[0]
    try:
        task_host.prepare(prelude)
        if not prelude["is_known"]:
            _probe(prelude)
        loaded = Loaded(prelude)
        loaded.load()
    except BaseException as error:
        control.send("refused", why=str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}")
        # Nothing that the file registered for the end of a task may run here.
        os._exit(0)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    control.send("warm", pid=os.getpid())
    try:
        serve(control, loaded)
    finally:
        os._exit(0)


def _probe(prelude: dict[str, Any]) -> None:
    """Load the file in a process of its own that looks at everything it does."""
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        _observe(prelude, ours)
    os.close(ours)
    try:
        with os.fdopen(theirs, "rb") as verdict:
            answer = _first_line(verdict.fileno())
    finally:
        # It may have left processes, which die with it or when this one ends.
        process.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if answer != b"fine":
        raise Refused(answer.decode(errors="replace") or "it ends the process that loads it")


def _first_line(fd: int) -> bytes:
    # Not until the end of the file: something that it started may hold the pipe open.
    data = b""
    while not data.endswith(b"\n"):
        select.select([fd], [], [])
        chunk = os.read(fd, 4096)
        if not chunk:
            return b""
        data += chunk
    return data.rstrip(b"\n")


def _observe(prelude: dict[str, Any], verdict: int) -> NoReturn:
    pid = os.getpid()
    parent = os.getppid()
    observer = watch.Observer(prelude)
    why: str | None = None
    try:
        process.die_with_parent(parent)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.close(nothing)
        Loaded(prelude).load(observer.watching())
    except Refused as refused:
        why = str(refused)
    except BaseException as error:
        why = f"{type(error).__name__}: {error}"
    # What it did says more than what that left.
    answer = observer.why_not_shared() or why or "fine"
    if os.getpid() == pid:  # A file that forks returns here twice.
        os.write(verdict, answer.replace("\n", " ")[:2000].encode() + b"\n")
    os._exit(0)
