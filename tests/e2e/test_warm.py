"""DAG files stay loaded between tasks, and nobody can tell by what the tasks do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Standalone, eventually, standalone

CHAIN = """
import os, random
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Variable

{more}

def look():
    return {{"parent": os.getppid(), "word": {word!r}, "number": random.random(), "more": MORE}}

with DAG({dag_id!r}, schedule=None):
    before = None
    for number in range(6):
        task = PythonOperator(task_id=f"t{{number}}", python_callable=look)
        if before:
            before >> task
        before = task
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("warm")) as system:
        write(system, "kept", "first", "MORE = None")
        write(system, "asks", "first", "MORE = Variable.get('limit', default=None)")
        system.start()
        system.client.run("variables", "set", "limit", "one")
        for dag_id in ("kept", "asks"):
            system.client.wait_for_dag(dag_id)
        yield system


def write(system: Standalone, dag_id: str, word: str, more: str) -> Path:
    return system.write(f"{dag_id}.py", CHAIN.format(dag_id=dag_id, word=word, more=more))


def run(system: Standalone, dag_id: str) -> list[dict]:
    run_id = system.client.trigger(dag_id)
    assert system.client.finish(dag_id, run_id) == "success"
    return [system.client.xcom(dag_id, run_id, f"t{number}") for number in range(6)]


def test_a_file_is_loaded_once_for_many_tasks_and_again_when_it_is_edited(system: Standalone) -> None:
    first = run(system, "kept")
    # The first task loads it by itself, and the last ones certainly do not.
    assert first[0]["parent"] != first[4]["parent"] == first[5]["parent"]
    assert len({row["number"] for row in first}) == 6
    before = system.client.dag("kept")["version"]
    write(system, "kept", "second", "MORE = None")
    eventually("the new version", lambda: system.client.dag("kept")["version"] != before)
    second = run(system, "kept")
    assert {row["word"] for row in second} == {"second"}
    assert second[5]["parent"] not in {row["parent"] for row in first}


def test_a_file_that_asks_is_answered_in_each_task(system: Standalone) -> None:
    first = run(system, "asks")
    assert {row["more"] for row in first} == {"one"}
    assert len({row["parent"] for row in first}) == 1
    system.client.run("variables", "set", "limit", "two")
    assert {row["more"] for row in run(system, "asks")} == {"two"}
    assert system.process
    assert "asks the supervisor something while it is loaded" in system.process.text()
