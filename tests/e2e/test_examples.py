"""The example DAGs of dags/ on a standalone system, and what the CLI shows of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import ROOT, Standalone


@pytest.fixture(scope="module")
def examples(system: Standalone) -> Standalone:
    for file in (ROOT / "dags").iterdir():
        if file.is_file():
            shutil.copy(file, system.dags / file.name)
    system.client.wait_for_dag("ml_retraining")
    system.client.wait_for_dag("native_pipeline")
    system.client.run("pools", "set", "ml_training", "3", "Models trained at once")
    return system


@pytest.fixture(scope="module")
def trained(examples: Standalone) -> str:
    run_id = examples.client.trigger("ml_retraining")
    assert examples.client.finish("ml_retraining", run_id, patience=120) == "success"
    return run_id


def test_the_retraining_dag_runs_to_success(examples: Standalone, trained: str) -> None:
    states = examples.client.states("ml_retraining", trained)
    assert set(states.values()) <= {"success", "skipped"}
    assert list(states.values()).count("skipped") >= 1, f"a branch skips one side: {states}"


def test_xcoms_are_listed_as_json(examples: Standalone, trained: str) -> None:
    rows = examples.client.json("xcom", "list", "ml_retraining", trained)
    assert rows, "the tasks push XComs"
    some = rows[0]
    text = examples.client.run(
        "xcom", "get", "ml_retraining", trained, some["task_id"], "--key", some["key"], "-o", "json"
    )
    assert json.loads(text) is not None


def test_logs_are_there_after_the_run(examples: Standalone, trained: str) -> None:
    text = examples.client.run("tasks", "logs", "ml_retraining", trained, "notify")
    assert text.strip(), "notify logs what it did"


def test_training_tasks_are_routed_to_their_queue(examples: Standalone, trained: str) -> None:
    queues = {row["queue"] for row in examples.client.tasks("ml_retraining", trained).values()}
    assert queues == {"default", "ml"}


def test_the_native_dag_runs(examples: Standalone) -> None:
    run_id = examples.client.trigger("native_pipeline")
    assert examples.client.finish("native_pipeline", run_id) == "success"


def test_trigger_wait_shows_tasks_and_tells_the_outcome(examples: Standalone) -> None:
    out = examples.client.run("dags", "trigger", "native_pipeline", "--wait")
    assert "success" in out


def test_listings_in_every_format(examples: Standalone) -> None:
    for args in (["dags", "list"], ["pools", "list"], ["workers", "list"], ["queues", "list"], ["dags", "list-runs", "native_pipeline"]):
        assert examples.client.json(*args), args
        assert examples.client.run(*args, "-o", "yaml").strip(), args
        assert examples.client.run(*args).strip(), args


def test_unknown_names_suggest_the_near_one(examples: Standalone) -> None:
    error = examples.client.fails("dags", "details", "native_pipelin")
    assert error.code == 3
    assert "native_pipeline" in error.stderr


def test_native_dags_need_no_python(tmp_path: Path) -> None:
    from harness import standalone

    with standalone(tmp_path, TRADEWIND__PYTHON__INTERPRETER=str(tmp_path / "no-such-python")) as bare:
        shutil.copy(ROOT / "dags/native_pipeline.yaml", bare.dags)
        bare.write("needs_python.py", "from airflow.sdk import dag\n\n@dag\ndef d():\n    pass\n\nd()\n")
        bare.start()
        bare.client.wait_for_dag("native_pipeline")
        run_id = bare.client.trigger("native_pipeline")
        assert bare.client.finish("native_pipeline", run_id) == "success"
        assert "python.interpreter" in bare.client.import_errors()["needs_python.py"]
