"""Large XComs: kept in a folder or a bucket, by reference, checked by hash, removed with their row."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Client, Standalone, eventually, python, standalone

MIB = 1 << 20

OLD = "d/old/t/return_value-01a1ff8b96ed70caa75248b1a99749ef.json"
YOUNG = "d/young/t/return_value-01a1ff8b96ed70caa75248b1a9974900.json"
FOREIGN = "report/2025.json"

DAG = '''
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator

with DAG("large"):
    @task
    def make(n):
        return "x" * (n << 20)

    @task
    def measure(text):
        return [len(text), text[:3], text == "x" * len(text)]

    @task
    def items():
        return [{"n": n, "pad": "y" * 100_000} for n in range(8)]

    @task
    def one(item):
        return item["n"]

    @task
    def several(n):
        return "z" * (2 << 20) + str(n)

    @task
    def gather(texts):
        return sorted(int(text[2 << 20:]) for text in texts)

    @task(task_id="twice")
    def twice(ti=None):
        ti.xcom_push(key="k", value="1" * (2 << 20))
        ti.xcom_push(key="k", value="2" * (2 << 20))
        return ti.xcom_pull(task_ids="twice", key="k")[:1]

    made = make(SIZE)
    measure(made)
    BashOperator(task_id="template", bash_command="echo {{ ti.xcom_pull(task_ids='make') | length }}") << made
    one.expand(item=items())
    gather(several.expand(n=[3, 1, 2]))
    twice()

with DAG("too_large"):
    @task
    def far_too_large():
        return "x" * (30 << 20)

    @task
    def beyond_every_frame():
        return "x" * (80 << 20)

    @task
    def afterwards():
        return "fine"

    [far_too_large(), beyond_every_frame()]
    afterwards()
'''

NATIVE = """
dag_id: native
schedule: null
tasks:
  - id: big
    operator: bash
    command: head -c 2000000 /dev/zero | tr '\\0' 'n'
  - id: small
    operator: bash
    command: echo {{ ti.xcom_pull(task_ids='big') | length }}
    depends_on: [big]
"""


def start(folder: Path, size: int, **env: str) -> Iterator[Standalone]:
    with standalone(folder, **{"TRADEWIND__XCOM__SWEEP_SECS": "1", **env}) as system:
        # What workers wrote that died before they could report it: one long ago, one just now.
        # And one that somebody else keeps in the same place.
        for name, age in ((OLD, 2 * 86_400), (YOUNG, 60), (FOREIGN, 2 * 86_400)):
            orphan = system.home / "xcoms" / name
            orphan.parent.mkdir(parents=True)
            orphan.write_text("1")
            os.utime(orphan, (time.time() - age, time.time() - age))
        system.write("large.py", DAG.replace("SIZE", str(size)))
        system.write("native.yaml", NATIVE)
        system.start()
        for dag_id in ("large", "too_large", "native"):
            system.client.wait_for_dag(dag_id)
        yield system


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """The default of a standalone system: a folder in its home."""
    yield from start(tmp_path_factory.mktemp("files"), 100)


@pytest.fixture(scope="module")
def ran(files: Standalone) -> str:
    run_id = files.client.trigger("large")
    assert files.client.finish("large", run_id, patience=180) == "success", problems(files.client, "large", run_id)
    return run_id


def problems(client: Client, dag_id: str, run_id: str) -> str:
    rows = client.tasks(dag_id, run_id)
    return "\n".join(f"{name}: {row['state']} {row['note']}" for name, row in rows.items())


def reference(client: Client, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> dict:
    rows = client.json("xcom", "list", dag_id, run_id, "--task-id", task_id, "--key", key)
    return rows[0]["object"]


def stored(system: Standalone) -> set[Path]:
    return {path for path in (system.home / "xcoms").rglob("*") if path.is_file()}


def path_of(url: str) -> Path:
    assert url.startswith("file://"), url
    return Path(url.removeprefix("file://"))


def check_run(client: Client, run_id: str, size: int) -> None:
    assert client.xcom("large", run_id, "measure") == [size * MIB, "xxx", True]
    assert client.xcom("large", run_id, "template") == str(size * MIB)
    assert client.xcom("large", run_id, "gather") == [1, 2, 3]
    assert client.xcom("large", run_id, "twice") == "2"
    ones = [row for row in client.json("xcom", "list", "large", run_id, "--limit", "200") if row["task_id"] == "one"]
    assert sorted(row["value"] for row in ones) == list(range(8))


def test_a_value_of_100_mb_is_handed_on(files: Standalone, ran: str) -> None:
    check_run(files.client, ran, 100)
    made = reference(files.client, "large", ran, "make")
    assert made["size"] == 100 * MIB + 2
    text = path_of(made["url"]).read_bytes()
    assert (len(text), hashlib.sha256(text).hexdigest()) == (made["size"], made["sha256"])


def test_a_small_value_stays_in_its_row(files: Standalone, ran: str) -> None:
    row = files.client.json("xcom", "list", "large", ran, "--task-id", "measure")[0]
    assert "object" not in row and row["value"][0] == 100 * MIB


def test_the_cli_shows_and_saves_it(files: Standalone, ran: str) -> None:
    target = files.folder / "saved.json"
    files.client.run("xcom", "get", "large", ran, "make", "--save", str(target))
    assert json.loads(target.read_text()) == "x" * (100 * MIB)
    assert files.client.run("xcom", "get", "large", ran, "several", "--map-index", "0") == "z" * (2 * MIB) + "3\n"
    listing = files.client.run("xcom", "list", "large", ran, "--task-id", "make")
    assert "104857602 bytes" in listing


def test_native_tasks_push_and_pull_it(files: Standalone) -> None:
    run_id = files.client.trigger("native")
    assert files.client.finish("native", run_id) == "success", problems(files.client, "native", run_id)
    assert files.client.xcom("native", run_id, "small") == "2000000"
    assert reference(files.client, "native", run_id, "big")["size"] == 2_000_002


def test_it_goes_with_its_row(files: Standalone, ran: str) -> None:
    """A replaced value, and those of a task that is cleared."""
    # Of the two that "twice" pushed under one key, only the last is there.
    eventually("the end of the first", lambda: len([p for p in stored(files) if "/twice/" in str(p)]) == 1)
    run_id = files.client.trigger("native")
    assert files.client.finish("native", run_id) == "success"
    first = path_of(reference(files.client, "native", run_id, "big")["url"])
    files.client.run("tasks", "clear", "native", "--run-id", run_id, "--task-regex", "big", "--downstream", "--yes")
    assert files.client.finish("native", run_id) == "success"
    second = path_of(reference(files.client, "native", run_id, "big")["url"])
    assert first != second and second.exists()
    eventually("the removal of the first", lambda: not first.exists(), 20)
    assert second.exists()
    assert files.client.xcom("native", run_id, "small") == "2000000"


def test_only_old_values_without_an_xcom_are_removed(files: Standalone, ran: str) -> None:
    eventually("the removal of the old one", lambda: not (files.home / "xcoms" / OLD).exists(), 20)
    assert (files.home / "xcoms" / YOUNG).exists()
    assert (files.home / "xcoms" / FOREIGN).exists()
    assert path_of(reference(files.client, "large", ran, "make")["url"]).exists()


def test_storage_of_another_installation_is_left_alone(tmp_path: Path) -> None:
    with standalone(tmp_path, TRADEWIND__XCOM__SWEEP_SECS="1") as system:
        orphan, mark = system.home / "xcoms" / OLD, system.home / "xcoms/tradewind-installation"
        orphan.parent.mkdir(parents=True)
        orphan.write_text("1")
        os.utime(orphan, (time.time() - 2 * 86_400,) * 2)
        mark.write_text("another")
        system.start()
        process = system.process
        assert process
        eventually("the refusal", lambda: "belongs to the installation another" in process.text(), 20)
        assert orphan.exists() and mark.read_text() == "another"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b'"' + b"q" * (path.stat().st_size - 2) + b'"'), "SHA-256"),
        (lambda path: path.write_bytes(b'"short"'), "7 bytes, 2000002 were written"),
        (Path.unlink, "is missing"),
    ],
    ids=["changed", "cut", "missing"],
)
def test_a_spoiled_value_is_a_clear_error(files: Standalone, spoil, says: str) -> None:
    run_id = files.client.trigger("native")
    assert files.client.finish("native", run_id) == "success"
    url = reference(files.client, "native", run_id, "big")["url"]
    spoil(path_of(url))
    error = files.client.fails("xcom", "get", "native", run_id, "big").stderr
    assert says in error and url in error, error
    files.client.run("tasks", "clear", "native", "--run-id", run_id, "--task-regex", "small", "--yes")
    assert files.client.finish("native", run_id) == "failed"
    note = files.client.tasks("native", run_id)["small"]["note"]
    assert says in note and url in note, note


# --- a bucket -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3 API, served by moto in an environment of its own."""
    folder = tmp_path_factory.mktemp("moto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = moto_server(folder)
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        eventually("the S3 API", lambda: put(f"{endpoint}/values"))
        yield endpoint
    finally:
        process.terminate()
        process.wait(10)


def moto_server(folder: Path) -> Path:
    """The server of moto, installed once per machine from a pinned version."""
    cache = Path(os.environ.get("TRADEWIND_TEST_CACHE", folder)) / "moto-5.2.5"
    server = cache / "bin/moto_server"
    if not server.exists():
        uv = python().parent / "uv"
        maker = [str(uv)] if uv.exists() else ["uv"]
        subprocess.run([*maker, "venv", "--quiet", "--python", str(python()), str(cache)], check=True)
        subprocess.run(
            [*maker, "pip", "install", "--quiet", "--python", str(cache / "bin/python"), "moto[s3,server]==5.2.5"],
            check=True,
        )
    return server


def put(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def keys(endpoint: str) -> list[str]:
    import re

    with urllib.request.urlopen(f"{endpoint}/values?list-type=2", timeout=10) as answer:
        return re.findall(r"<Key>(.*?)</Key>", answer.read().decode())


def test_values_are_kept_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    env = {
        "TRADEWIND__XCOM__STORAGE_URL": "s3://values/some/prefix",
        "TRADEWIND__XCOM__STORAGE_OPTIONS__ENDPOINT": bucket,
        "TRADEWIND__XCOM__STORAGE_OPTIONS__REGION": "us-east-1",
        "TRADEWIND__XCOM__MAX_BYTES": str(24 * MIB),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    for system in start(tmp_path, 20, **env):
        client = system.client
        run_id = client.trigger("large")
        assert client.finish("large", run_id, patience=180) == "success", problems(client, "large", run_id)
        check_run(client, run_id, 20)
        made = reference(client, "large", run_id, "make")
        assert made["url"].startswith("s3://values/some/prefix/large/")
        assert made["url"].removeprefix("s3://values/") in keys(bucket)
        assert client.run("xcom", "get", "large", run_id, "make") == "x" * (20 * MIB) + "\n"
        client.run("tasks", "clear", "large", "--run-id", run_id, "--task-regex", "make", "--yes")
        eventually("its removal", lambda: made["url"].removeprefix("s3://values/") not in keys(bucket), 30)
        assert len(stored(system)) == 3, "nothing goes to the folder"
        check_limit(system)
        assert not any("too_large" in key for key in keys(bucket)), "nothing is left behind of what was refused"


def check_limit(system: Standalone) -> None:
    """A value over the absolute limit fails with the name of the option, and its task only."""
    run_id = system.client.trigger("too_large")
    assert system.client.finish("too_large", run_id, patience=120) == "failed"
    tasks = system.client.tasks("too_large", run_id)
    for task_id in ("far_too_large", "beyond_every_frame"):
        assert tasks[task_id]["state"] == "failed"
        assert "xcom.max_bytes" in tasks[task_id]["note"], tasks[task_id]["note"]
    assert tasks["afterwards"]["state"] == "success"


def test_a_bucket_that_does_not_answer_fails_the_task_only(tmp_path: Path) -> None:
    env = {
        "TRADEWIND__XCOM__STORAGE_URL": "s3://values",
        "TRADEWIND__XCOM__STORAGE_OPTIONS__ENDPOINT": "http://127.0.0.1:9",
        "TRADEWIND__XCOM__STORAGE_OPTIONS__REGION": "us-east-1",
        "TRADEWIND__XCOM__STORAGE_OPTIONS__SKIP_SIGNATURE": "true",
        "TRADEWIND__XCOM__STORAGE_OPTIONS__TIMEOUT": "2s",
    }
    for system in start(tmp_path, 2, **env):
        run_id = system.client.trigger("native")
        assert system.client.finish("native", run_id, patience=90) == "failed"
        note = system.client.tasks("native", run_id)["big"]["note"]
        assert "xcom.storage_url" in note and "s3://values" in note, note


# --- XCom backends as published -------------------------------------------------------------------------------------

BACKEND = '''
import json, os, pathlib
from airflow.sdk.bases.xcom import BaseXCom

class FolderBackend(BaseXCom):
    @staticmethod
    def serialize_value(value, *, key, task_id, dag_id, run_id, map_index=None, **_):
        path = pathlib.Path(os.environ["BACKEND_FOLDER"], f"{dag_id}.{task_id}.{key}.json")
        path.write_text(json.dumps(value))
        return BaseXCom.serialize_value(f"folder:{path}")

    @staticmethod
    def deserialize_value(result):
        reference = BaseXCom.deserialize_value(result)
        if isinstance(reference, str) and reference.startswith("folder:"):
            return json.loads(pathlib.Path(reference.removeprefix("folder:")).read_text())
        return reference
'''

BACKEND_DAG = '''
from airflow.sdk import DAG, task

with DAG("backend"):
    @task
    def make():
        return ["v"] * 400_000

    @task
    def measure(values):
        return len(values)

    measure(make())
'''


@pytest.mark.parametrize("backend", ["own", "object_storage"])
def test_xcom_backends_work_as_published(tmp_path: Path, backend: str) -> None:
    """A class in the DAG folder, and that of the common.io provider."""
    (tmp_path / "backend").mkdir()
    env = {"BACKEND_FOLDER": str(tmp_path / "backend")}
    if backend == "own":
        env |= {"AIRFLOW__CORE__XCOM_BACKEND": "my_backend.FolderBackend"}
    else:
        env |= {
            "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{tmp_path}/backend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
        }
    with standalone(tmp_path, **{f"TRADEWIND__WORKER__ENV__{name}": value for name, value in env.items()}) as system:
        system.write("my_backend.py", BACKEND)
        system.write("backend.py", BACKEND_DAG)
        system.start()
        system.client.wait_for_dag("backend")
        run_id = system.client.trigger("backend")
        assert system.client.finish("backend", run_id) == "success", problems(system.client, "backend", run_id)
        assert any((tmp_path / "backend").rglob("*")), "the backend kept the value"
        assert not stored(system), "what went into the row is small"
        row = system.client.json("xcom", "list", "backend", run_id, "--task-id", "make")[0]
        assert str(tmp_path / "backend") in str(row["value"])
