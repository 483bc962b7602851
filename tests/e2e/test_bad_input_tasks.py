"""Tasks that do what no task should: a clear message each, and the next task runs at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from harness import Standalone, eventually, standalone

DAG = '''
import ctypes, datetime, os, pathlib, signal, subprocess, sys, threading, time
from airflow.sdk import DAG, BaseOperator
from airflow.providers.standard.operators.python import PythonOperator


def close_streams():
    sys.stdin.close(); sys.stdout.close(); sys.stderr.close()
    return "still here"


def close_descriptors():
    for fd in (0, 1, 2):
        os.close(fd)
    return "still here"


def null_descriptors():
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    return "still here"


def note_pid(name):
    pathlib.Path(os.environ["NOTES"], name).write_text(str(os.getpid()))


def daemonize():
    """The double fork of the textbooks; what it leaves behind has let go of everything that it had."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note_pid("daemon")
            os.closerange(0, 1024)
            time.sleep(1000)
        os._exit(0)
    os.wait()
    return "left"


def fork_and_return():
    """Somebody forgot os._exit: two processes come back from the same call."""
    pid = os.fork()
    return "child" if pid == 0 else "parent"


def print_much():
    line = "x" * 99 + chr(10)
    for _ in range(100):
        sys.stdout.write(line * 10486)
    raise ValueError("after all that")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("str() raises, too")

    __repr__ = __str__


class Own:
    pass


class Tantrum(BaseException):
    pass


def raise_(error):
    raise error


def eat_memory():
    """In a control group of its own where that is allowed; else somebody kills it."""
    limit = 96 << 20
    for root, name in ((pathlib.Path("/sys/fs/cgroup"), "memory.max"), (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")):
        group = root / f"tradewind-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / name).write_text(str(limit))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            continue
        print("a group of its own", group, flush=True)
        pathlib.Path(os.environ["NOTES"], "group").write_text(str(group))
        hog = bytearray(4 * limit)
        for at in range(0, len(hog), 4096):
            hog[at] = 1
    os.kill(os.getpid(), signal.SIGKILL)


def deep():
    """Within the recursion limit of Python's interpreter, far beyond its stack."""
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def self_referential():
    value = []
    value.append(value)
    return value


def leave_thread():
    threading.Thread(target=time.sleep, args=(3,)).start()
    return "thread left"


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note_pid("stubborn")
    print("working", flush=True)
    time.sleep(1000)


with DAG("bad"):
    for name, call, args in [
        ("close_streams", close_streams, []),
        ("close_descriptors", close_descriptors, []),
        ("null_descriptors", null_descriptors, []),
        ("daemonize", daemonize, []),
        ("fork_and_return", fork_and_return, []),
        ("print_much", print_much, []),
        ("leave_thread", leave_thread, []),
        ("unprintable", lambda: raise_(Unprintable()), []),
        ("tantrum", raise_, [Tantrum("not even an Exception")]),
        ("own_type", Own, []),
        ("a_set_of_own", lambda: {"here": [Own()]}, []),
        ("a_lock", lambda: threading.Lock(), []),
        ("a_generator", lambda: (n for n in range(3)), []),
        ("self_referential", self_referential, []),
        ("deep", deep, []),
        ("exits_0", os._exit, [0]),
        ("exits_7", os._exit, [7]),
        ("sys_exit", sys.exit, ["no more"]),
        ("segfault", ctypes.string_at, [0]),
        ("abort", os.abort, []),
        ("killed", lambda: os.kill(os.getpid(), signal.SIGKILL), []),
        ("eat_memory", eat_memory, []),
    ]:
        PythonOperator(task_id=name, python_callable=call, op_args=args)

with DAG("stuck"):
    PythonOperator(task_id="stubborn", python_callable=stubborn)

with DAG("next"):
    PythonOperator(task_id="one", python_callable=lambda: "fine")
'''

#: Tasks that succeed all the same, and what they return.
SUCCEED = {
    "close_streams": "still here",
    "close_descriptors": "still here",
    "null_descriptors": "still here",
    "daemonize": "left",
    "fork_and_return": "parent",
    "leave_thread": "thread left",
}

#: Tasks that fail, and what is said of it.
FAIL = {
    "print_much": ["ValueError: after all that"],
    "unprintable": ["Unprintable"],
    "tantrum": ["Tantrum", "not even an Exception"],
    "own_type": ["Own", "return_value"],
    "a_set_of_own": ["Own", "return_value"],
    "a_lock": ["lock", "return_value"],
    "a_generator": ["generator", "return_value"],
    "self_referential": ["return_value"],
    "deep": ["RecursionError"],
    "exits_0": ["exit code 0 without saying"],
    "exits_7": ["exit code 7 without saying"],
    "sys_exit": ["no more"],
    "segfault": ["signal 11", "segmentation fault"],
    "abort": ["signal 6"],
    "killed": ["SIGKILL", "peak", "MiB"],
    "eat_memory": ["SIGKILL", "peak", "MiB"],
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tasks")
    env = {
        "TRADEWIND__WORKER__ENV__NOTES": str(folder),
        "TRADEWIND__WORKER__KILL_GRACE_SECS": "1",
        "TRADEWIND__WORKER__SLOTS": "4",
        "TRADEWIND__SCHEDULER__LOG_MAX_BYTES": str(4 << 20),
    }
    with standalone(folder, **env) as system:
        system.write("bad.py", DAG)
        system.start()
        eventually("loading the file", lambda: system.client.dag("bad"), 180)
        yield system
        group = folder / "group"
        if group.exists():
            os.rmdir(group.read_text())


@pytest.fixture(scope="module")
def run(bad: Standalone) -> str:
    run_id = bad.client.trigger("bad")
    assert bad.client.finish("bad", run_id, patience=240) == "failed"
    return run_id


@pytest.mark.parametrize("task_id", sorted(SUCCEED))
def test_what_a_task_does_to_its_own_process_is_no_failure(bad: Standalone, run: str, task_id: str) -> None:
    row = bad.client.tasks("bad", run)[task_id]
    assert row["state"] == "success", bad.client.run("tasks", "logs", "bad", run, task_id)
    assert bad.client.xcom("bad", run, task_id) == SUCCEED[task_id]


@pytest.mark.parametrize("task_id", sorted(FAIL))
def test_a_failure_is_said_in_words(bad: Standalone, run: str, task_id: str) -> None:
    row = bad.client.tasks("bad", run)[task_id]
    log = bad.client.run("tasks", "logs", "bad", run, task_id)
    assert row["state"] == "failed", log
    for part in FAIL[task_id]:
        assert part in str(row["note"]), f"note: {row['note']}\n{log}"
        assert part in log


def test_lack_of_memory_is_said_in_words(bad: Standalone, run: str) -> None:
    note = str(bad.client.tasks("bad", run)["eat_memory"]["note"])
    if (bad.folder / "group").exists():
        assert "killed by the kernel: out of memory" in note, note
    killed = str(bad.client.tasks("bad", run)["killed"]["note"])
    assert "the task's process was killed (SIGKILL)" in killed, killed


def test_a_value_that_cannot_be_handed_on_says_what_can(bad: Standalone, run: str) -> None:
    for task_id in ("own_type", "a_lock", "a_generator"):
        log = bad.client.run("tasks", "logs", "bad", run, task_id)
        assert "do_xcom_push" in log and "xcom" in log.lower(), log


def test_a_log_of_100_mb_ends_with_a_mark(bad: Standalone, run: str) -> None:
    log = bad.client.run("tasks", "logs", "bad", run, "print_much")
    assert len(log) < 8 << 20
    assert "the log is over 4194304 bytes (scheduler.log_max_bytes)" in log[-60_000:]
    assert "log lines are left out here" in log[-60_000:]
    # The end, which people look for, is there.
    assert "ValueError: after all that" in log[-1_000:], log[-1_000:]


def test_a_task_that_ignores_sigterm_is_killed_and_frees_its_slot(bad: Standalone) -> None:
    run_id = bad.client.trigger("stuck")
    eventually("its output", lambda: "working" in bad.client.run("tasks", "logs", "stuck", run_id, "stubborn"))
    bad.client.run("tasks", "mark", "stuck", run_id, "stubborn", "failed")
    marked = time.monotonic()
    eventually("the end of its process", lambda: not alive(bad, "stubborn"), 20)
    assert time.monotonic() - marked < 15


def test_nothing_is_left_behind_and_the_next_task_runs_at_once(bad: Standalone, run: str) -> None:
    begun = time.monotonic()
    run_id = bad.client.trigger("next")
    assert bad.client.finish("next", run_id) == "success"
    assert time.monotonic() - begun < 30
    eventually("the end of the daemon", lambda: not alive(bad, "daemon"), 30)
    assert bad.process and bad.process.popen.poll() is None


def alive(system: Standalone, name: str) -> bool:
    """Whether the process that noted its number under this name is there."""
    pid = int((system.folder / name).read_text())
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
