"""DAG files that do at import what no DAG file should: each has its say, none disturbs another or the system."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Standalone, eventually, standalone

DAG = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator

def here():
    import os, signal, sys
    return {
        "cwd": os.getcwd(), "changed": os.environ.get("CHANGED_AT_IMPORT"), "path": "/changed/at/import" in sys.path,
        "sigterm": str(signal.getsignal(signal.SIGTERM)),
    }

with DAG("%s"):
    PythonOperator(task_id="t", python_callable=here)
"""

#: What a file does before it defines its DAG, and whether the DAG is there all the same.
LOADED = {
    "threads": "import threading, time\n"
    "for _ in range(20):\n    threading.Thread(target=time.sleep, args=(1000,)).start()\n",
    "printer": "import os\nfor _ in range(100):\n    os.write(1, b'x' * (1 << 20))\n",
    "forks": "import os, time\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        open('PIDS', 'a').write(f'{os.getpid()}\\n')\n        time.sleep(1000)\n    os._exit(0)\n",
    "chdir": "import os, sys, signal\nos.chdir('/')\nsys.path.insert(0, '/changed/at/import')\n"
    "os.environ['CHANGED_AT_IMPORT'] = 'yes'\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    "closes_streams": "import os\nos.close(1)\nos.close(2)\n",
}

#: Files that cannot be loaded, and what the import error says.
REFUSED = {
    "exits": ("import sys\nsys.exit('enough')\n", ["sys.exit(enough)", "exits.py"]),
    "hangs": ("import time\ntime.sleep(1000)\n", ["still importing after", "endless loop or slow call"]),
    "deaf": (
        "import signal\nfor number in (1, 2, 14, 15):\n    signal.signal(number, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass\n",
        ["not done after", "parse timeout"],
    ),
    "closes_all": ("import os\nos.closerange(3, 1000)\n", ["closes file descriptors", "os.closerange"]),
    "crashes": ("import ctypes\nctypes.string_at(0)\n", ["segmentation fault"]),
    "provider": (
        "from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator\n",
        ["install apache-airflow-providers-apache-spark"],
    ),
    "child_speaks": (
        "import os, sys\nif os.fork() == 0:\n    sys.exit(3)\nos.wait()\nraise ValueError('after the fork')\n",
        ["after the fork"],
    ),
}

@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory):
    env = {"TRADEWIND__DAGS__PARSE_TIMEOUT_SECS": "6", "TRADEWIND__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false"}
    with standalone(tmp_path_factory.mktemp("files"), **env) as system:
        system.write("aaa_good.py", DAG % "good")
        for name, text in LOADED.items():
            system.write(f"{name}.py", text.replace("PIDS", str(system.folder / "pids")) + DAG % name)
        for name, (text, _) in REFUSED.items():
            system.write(f"{name}.py", text + DAG % name)
        system.write("one.py", DAG % "same")
        system.write("two.py", DAG % "same")
        system.start()
        yield system


@pytest.mark.parametrize("name", sorted(LOADED))
def test_what_a_file_does_to_its_process_does_not_matter(spoiled: Standalone, name: str) -> None:
    spoiled.client.wait_for_dag(name)
    assert f"{name}.py" not in spoiled.client.import_errors()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_loaded_is_an_import_error_in_plain_words(spoiled: Standalone, name: str) -> None:
    errors = eventually(f"the import error of {name}", lambda: spoiled.client.import_errors().get(f"{name}.py"))
    for part in REFUSED[name][1]:
        assert part in f"{errors} {name}.py", errors


def test_two_files_with_one_dag_id_name_each_other(spoiled: Standalone) -> None:
    spoiled.client.wait_for_dag("same")
    errors = eventually("the import error", lambda: spoiled.client.import_errors().get("two.py"))
    assert "same" in str(errors) and "one.py" in str(errors), errors
    assert "one.py" not in spoiled.client.import_errors()


def test_the_next_file_and_its_tasks_see_nothing_of_it(spoiled: Standalone) -> None:
    """What a file changes at import stays in its own processes."""
    runs = {}
    for dag_id in ("good", *LOADED):
        spoiled.client.wait_for_dag(dag_id)
        runs[dag_id] = spoiled.client.trigger(dag_id)
    for dag_id, run_id in runs.items():
        assert spoiled.client.finish(dag_id, run_id) == "success", dag_id
    run_id = spoiled.client.trigger("good")
    assert spoiled.client.finish("good", run_id) == "success"
    seen = spoiled.client.xcom("good", run_id, "t")
    assert (seen["changed"], seen["path"]) == (None, False)
    assert "SIG_IGN" not in seen["sigterm"]
    assert seen["cwd"] != "/"


def test_nothing_of_a_parse_stays_behind(spoiled: Standalone) -> None:
    """What a file forked, and that left its group and session, is gone soon after the parse."""
    spoiled.client.wait_for_dag("forks")
    pids = [int(line) for line in (spoiled.folder / "pids").read_text().split()]
    assert pids
    eventually("the end of what the file forked", lambda: not any(alive(pid) for pid in pids), 30)


def alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
