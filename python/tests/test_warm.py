"""Warm file processes: what a task of one sees is what it would see if it had loaded its file; what cannot be is refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisor import Supervisor, TaskResult, WarmFile

HEAD = """
import atexit, logging, os, random, signal, socket, subprocess, sys, tempfile, threading, time, uuid, warnings
from pathlib import Path
from airflow.sdk import DAG, Variable, get_parsing_context
from airflow.providers.standard.operators.python import PythonOperator
"""

DAG = """
with DAG("d"):
    PythonOperator(task_id="look", python_callable=look)
"""

#: A file that does many things at its top level that may stay, and a task that looks at all of them.
RICH = (
    HEAD
    + '''
import rich_helper
own = random.Random()
seeded = random.Random(7)
os.environ["SET_BY_FILE"] = "yes"
os.umask(0o027)
print("printed at the top")
print("to stderr", file=sys.stderr)
os.system  # Looked at, not called.
logging.getLogger("of.the.file").warning("logged at the top")
warnings.warn("warned at the top", DeprecationWarning)
handler = logging.StreamHandler(sys.stdout)
logging.getLogger("to.stdout").addHandler(handler)
atexit.register(lambda: print("at exit", flush=True))
sys.excepthook = lambda *_: None
LOADED_IN = os.stat("/proc/self").st_ino

def look():
    logging.getLogger("to.stdout").warning("through the handler")
    return {
        "file": __file__,
        "name": __name__,
        "path": [entry for entry in sys.path],
        "argv": sys.argv,
        "environ": {name: value for name, value in sorted(os.environ.items()) if name != "TRADEWIND_GUEST_CHILD"},
        "child": "TRADEWIND_GUEST_CHILD" in os.environ,
        "cwd": os.getcwd(),
        "umask": oct(os.umask(0o027)),
        "seeded": seeded.random(),
        "signals": {str(n): str(signal.getsignal(n)).split(" at ")[0] for n in (1, 2, 3, 10, 12, 13, 15, 17)},
        "blocked": [str(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "threads": threading.active_count(),
        "leader": os.getsid(0) == os.getpid(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "stdout": [sys.stdout.fileno(), sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering],
        "hook": sys.excepthook.__name__,
        "helper": rich_helper.WORD,
        "dont_write_bytecode": sys.dont_write_bytecode,
        "context": str(get_parsing_context()),
        "same_stream": handler.stream is sys.stdout,
    }

def draw():
    return [random.random(), own.random(), str(uuid.uuid4())]
'''
)
RICH_DAGS = """
with DAG("d"):
    PythonOperator(task_id="look", python_callable=look)
    PythonOperator(task_id="draw", python_callable=draw)
    PythonOperator(task_id="sleep", python_callable=time.sleep, op_args=[1000])
    PythonOperator(task_id="die", python_callable=os.kill, op_args=[0, signal.SIGKILL])
    PythonOperator(task_id="stray", python_callable=lambda: subprocess.Popen(["sleep", "900"], start_new_session=True).pid)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "rich.py").write_text(RICH + RICH_DAGS)
    (tmp_path / "rich_helper.py").write_text("WORD = 'helped'\n")
    return tmp_path


@pytest.fixture
def warm(supervisor: Supervisor, root: Path) -> Iterator[WarmFile]:
    file = WarmFile(supervisor, root, "rich.py")
    assert file.refusal is None
    yield file
    file.close()


def returned(result: TaskResult) -> Any:
    values = [message["value"] for message in result.messages if message["type"] == "SetXCom"]
    assert len(values) == 1, (result.messages, result.logs, result.stderr)
    return values[0]


def said(result: TaskResult) -> list[dict[str, Any]]:
    """The log without what differs between any two tasks."""
    own = ("timestamp", "ti", "ti_id", "dag_file_parse_ms", "bundle_prepare_ms", "lineno")
    return [{key: value for key, value in line.items() if key not in own} for line in result.logs]


def test_a_task_sees_what_it_would_see_without(supervisor: Supervisor, warm: WarmFile, root: Path) -> None:
    alone = supervisor.task(root, "rich.py", "d", "look", env={"OWN": "1"})
    shared = warm.task(root, "rich.py", "d", "look", env={"OWN": "1"})
    assert returned(shared) == returned(alone)
    assert returned(shared)["environ"]["OWN"] == "1"
    assert shared.types() == alone.types()
    assert shared.exit["code"] == alone.exit["code"] == 0


def test_the_output_of_the_load_comes_in_every_task(supervisor: Supervisor, warm: WarmFile, root: Path) -> None:
    alone = supervisor.task(root, "rich.py", "d", "look")
    for _ in range(2):
        shared = warm.task(root, "rich.py", "d", "look")
        assert shared.stdout == alone.stdout
        assert shared.stderr == alone.stderr
        known = {"dag_id", "task_id", "run_id", "try_number", "map_index"}
        bare = [{key: value for key, value in line.items() if key not in known} for line in said(shared)]
        assert bare == [{key: value for key, value in line.items() if key not in known} for line in said(alone)]
        times = [line["timestamp"] for line in shared.logs]
        assert times == sorted(times)
    assert b"printed at the top" in alone.stdout and alone.stdout.endswith(b"at exit\n")
    assert any(line["event"] == "logged at the top" for line in alone.logs)


def test_each_task_draws_its_own_random_numbers(warm: WarmFile, root: Path) -> None:
    first, second = (returned(warm.task(root, "rich.py", "d", "draw")) for _ in range(2))
    assert not set(first) & set(second)


def test_each_task_draws_its_own_numbers_of_numpy(
    supervisor: Supervisor, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packages = tmp_path_factory.mktemp("packages")
    (packages / "draws.py").write_text("import numpy\nRNG = numpy.random.default_rng()\nOLD = numpy.random.RandomState()\n")
    code = f"""
sys.path.insert(0, {str(packages)!r})
import numpy as np
import draws
seeded = np.random.default_rng(5)
def look():
    product = (np.ones((300, 300)) @ np.ones((300, 300))).sum()
    own = [np.random.rand(), draws.RNG.random(), draws.OLD.rand(), draws.RNG.spawn(1)[0].random()]
    return [[float(number) for number in own], float(seeded.random()), float(product)]
"""
    (root / "n.py").write_text(HEAD + code + DAG)
    (root / "s.py").write_text(HEAD + code + "np.random.seed(3)\nlook = lambda: float(np.random.rand())\n" + DAG)
    file = WarmFile(supervisor, root, "n.py")
    (first, kept, product), (second, kept_too, _) = (returned(file.task(root, "n.py", "d", "look")) for _ in range(2))
    file.close()
    assert not set(first) & set(second)
    assert (kept, product) == (kept_too, 300.0**3)
    seeded = WarmFile(supervisor, root, "s.py")
    drawn = {returned(forks.task(root, "s.py", "d", "look")) for forks in (supervisor, seeded, seeded)}
    seeded.close()
    assert len(drawn) == 1
    assert len({*first, *second}) == 8


def test_the_file_is_loaded_once(warm: WarmFile, root: Path) -> None:
    (root / "rich.py").write_text("raise RuntimeError('loaded again')")
    assert warm.task(root, "rich.py", "d", "look").exit["code"] == 0


def test_another_file_than_the_loaded_one_is_loaded(warm: WarmFile, root: Path) -> None:
    (root / "other.py").write_text(HEAD + "def look():\n    return 'other'\n" + DAG)
    assert returned(warm.task(root, "other.py", "d", "look")) == "other"


def test_a_dag_that_is_not_in_the_file_fails_as_ever(supervisor: Supervisor, warm: WarmFile, root: Path) -> None:
    alone = supervisor.task(root, "rich.py", "none", "look")
    shared = warm.task(root, "rich.py", "none", "look")
    assert (shared.exit["code"], shared.types()) == (alone.exit["code"], alone.types()) == (1, alone.types())


def test_a_load_under_a_known_file_is_not_observed_again(supervisor: Supervisor, root: Path) -> None:
    file = WarmFile(supervisor, root, "rich.py", is_known=True)
    assert returned(file.task(root, "rich.py", "d", "look"))["helper"] == "helped"
    file.close()


def test_kills_and_strays(supervisor: Supervisor, warm: WarmFile, root: Path) -> None:
    assert warm.task(root, "rich.py", "d", "die").exit["signal"] == signal.SIGKILL
    stray = returned(warm.task(root, "rich.py", "d", "stray"))
    job = warm.start(root, "rich.py", "d", "sleep")
    pid = warm.wait_event("forked", job.number)["pid"]
    eventually_gone(stray)
    warm.order(op="kill", id=job.number, signal=signal.SIGKILL, tree=True)
    assert warm.wait_event("exited", job.number)["signal"] == signal.SIGKILL
    assert not is_running(pid)


def test_the_end_of_a_warm_file_is_the_end_of_its_tasks(supervisor: Supervisor, root: Path) -> None:
    file = WarmFile(supervisor, root, "rich.py")
    job = file.start(root, "rich.py", "d", "sleep")
    pid = file.wait_event("forked", job.number)["pid"]
    stray = returned(file.task(root, "rich.py", "d", "stray"))
    os.kill(file.pid, signal.SIGKILL)
    supervisor.wait_event("exited", file.number)
    eventually_gone(pid)
    eventually_gone(stray)


def test_its_end_runs_nothing_of_the_file(supervisor: Supervisor, root: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (root / "ends.py").write_text(HEAD + f"atexit.register(Path({str(mark)!r}).touch)\nlook = lambda: 0\n" + DAG)
    WarmFile(supervisor, root, "ends.py").close()
    assert not mark.exists()


def eventually_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


REFUSED = {
    "thread": ("threading.Thread(target=time.sleep, args=[9], daemon=True).start()", "1 thread"),
    "file": ("kept = open('/etc/hostname')", "leaves /etc/hostname open"),
    "socket": ("kept = socket.socket()", "leaves socket:"),
    "process": ("kept = subprocess.Popen(['sleep', '9'])", "starts processes"),
    "process that ended": ("subprocess.run(['true'])", "starts processes"),
    "shell": ("os.system('true')", "starts processes"),
    "fork": ("pid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)", "starts processes"),
    "fork that stays": ("if os.fork() == 0:\n    time.sleep(5)", "starts processes"),
    "variable": ("limit = Variable.get('limit', default=3)", "asks the supervisor something"),
    "connection": (
        "from airflow.sdk import Connection\ntry:\n    Connection.get('c')\nexcept Exception:\n    pass",
        "asks the supervisor something",
    ),
    "secret": ("from airflow.sdk.log import mask_secret\nmask_secret('hush')", "(MaskSecret)"),
    "signal": ("signal.signal(signal.SIGTERM, lambda *_: None)", "installs a handler for SIGTERM"),
    "alarm": ("signal.signal(signal.SIGALRM, lambda *_: None)", "installs a handler for SIGALRM"),
    "timer": ("signal.setitimer(signal.ITIMER_VIRTUAL, 1000)", "starts a timer"),
    "folder": ("os.chdir('/')", "changes the working directory"),
    "asked folder": ("here = Path('x').absolute()", "asks for the working directory"),
    "pid": ("me = os.getpid()", "asks for its process id"),
    "written": ("Path({scratch!r}).write_text('x')", "writes to"),
    "written here": ("os.close(os.open('new', os.O_CREAT | os.O_WRONLY))", "writes to new"),
    "temporary": ("folder = tempfile.mkdtemp()", "changes files"),
    "folder made": ("os.makedirs({scratch!r})", "changes files"),
    "connected": ("try:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError:\n    pass", "talks to others"),
    "database": ("import sqlite3\nsqlite3.connect(':memory:').close()", "talks to others"),
    "random": ("number = random.random()", "uses random numbers"),
    "random seed": ("random.seed(3)", "uses random numbers"),
    "uuid": ("run = uuid.uuid4()", "uses random numbers"),
    "entropy": ("run = os.urandom(4)", "uses random numbers"),
    "numpy draw": ("import numpy as np\nnp.random.rand()", "numpy's random numbers"),
    "numpy generator": ("import numpy as np\nrng = np.random.default_rng()", "uses random numbers"),
    "attempt": ("mine = os.environ.get('OWN')", "looks at OWN"),
    "environment": ("copied = dict(os.environ)", "takes a copy of the environment"),
    "parsing context": ("wanted = get_parsing_context().dag_id", "_AIRFLOW_PARSING_CONTEXT_DAG_ID"),
    "shared lock": ("import multiprocessing\nlock = multiprocessing.Lock()", "locks or memory"),
    "shared memory": ("import mmap\nshared = mmap.mmap(-1, 4096)", "maps memory that processes share"),
    "hook": ("sys.addaudithook(lambda *_: None)", "installs an audit hook"),
    "limit": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "changes limits of its process",
    ),
    "memory": ("blob = bytearray(os.sysconf('SC_PAGE_SIZE')) * 160000", "MiB of memory"),
    "output": ("print('x' * 100_000)", "prints or logs more"),
    "failure": ("1 / 0", "does not load"),
    "exit": ("sys.exit(3)", "does not load"),
    "hard exit": ("os._exit(3)", "ends the process that loads it"),
    "crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "ends the process that loads it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_shared_is_refused(supervisor: Supervisor, root: Path, tmp_path: Path, name: str) -> None:
    code, why = REFUSED[name]
    code = code.format(scratch=str(tmp_path / "scratch")) if "{scratch" in code else code
    (root / "bad.py").write_text(HEAD + code + "\nlook = lambda: 0\n" + DAG)
    file = WarmFile(supervisor, root, "bad.py")
    try:
        assert file.refusal is not None and why in file.refusal
    finally:
        file.close()


ALLOWED = {
    "clock": "now = time.time()",
    "reads": "text = Path(__file__).read_text()",
    "variables": "home = os.environ.get('HOME', '')",
    "ended thread": "thread = threading.Thread(target=int)\nthread.start()\nthread.join()",
    "path": "here = Path(__file__).resolve().parent\nsys.path.insert(0, str(here))",
    "import": "import rich_helper, sqlite3, multiprocessing, asyncio, concurrent.futures, http.client",
    # numpy's linear algebra starts threads, and ends them before each fork.
    "numpy": "import numpy as np\nnp.ones((500, 500)) @ np.ones((500, 500))",
    "sklearn": "from sklearn.ensemble import RandomForestClassifier",
    "pandas": "import pandas as pd\nframe = pd.DataFrame({'a': [1]})",
    "task group": (
        "from airflow.sdk import task, task_group, dag\n@dag\ndef more():\n    @task_group\n    def group():\n"
        "        @task\n        def one():\n            return 1\n        one()\n    group()\nmore()"
    ),
    "jinja": "import jinja2\ntext = jinja2.Template('{{ 1 }}').render()",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_files_usually_do_is_not_refused(supervisor: Supervisor, root: Path, name: str) -> None:
    (root / "good.py").write_text(HEAD + ALLOWED[name] + "\nlook = lambda: 0\n" + DAG)
    file = WarmFile(supervisor, root, "good.py")
    try:
        assert file.refusal is None
        assert returned(file.task(root, "good.py", "d", "look")) == 0
    finally:
        file.close()
