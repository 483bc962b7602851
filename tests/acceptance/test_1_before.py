"""What happens while data, folders, pools, queues and names are missing."""

from __future__ import annotations

from datetime import timedelta

from world import World


def test_000_custom_exceptions_without_the_file(bare: World) -> None:
    run = bare.before("custom_exceptions").ends("failed")
    assert run.states() == {"extract_data": "success", "train_model": "failed"}
    message = "AirflowException: Fatal error: Training data not found: /tmp/training_data.parquet"
    assert run.tasks()["train_model"]["note"].startswith(message)
    assert "❌ Data error: Training data not found" in run.log("train_model")


def test_000_deep_learning_bash_without_the_folder(bare: World) -> None:
    run = bare.before("deep_learning_bash").ends("failed")
    assert run.states() == {"extract_data": "success", "train_dl_model": "failed"}
    assert "exit code 1" in run.log("train_dl_model"), run.log("train_dl_model")


def test_000_performance_sensor_without_such_a_host(bare: World) -> None:
    run = bare.before("performance_sensor").ends("failed")
    states = run.states()
    assert states.pop("check_performance") == "failed"
    assert len(states) == 6 and set(states.values()) == {"upstream_failed"}
    note = run.tasks()["check_performance"]["note"]
    assert note.startswith("ConnectionError: HTTPConnectionPool(host='prometheus', port=9090)") and "NameResolutionError" in note
    assert "requests/adapters.py" in run.log("check_performance")


def test_000_k8s_pod_that_fails(bare: World) -> None:
    run = bare.before("k8s_gpu_training").ends("failed")
    (pod,) = bare.kubernetes.of_run("k8s_gpu_training", run.run_id)
    assert pod.exit_code == 3 and pod.phases[-1] == "Failed"
    assert "stand-in pod ends with 3" in run.log("train_on_gpu")


def test_001_dbt_without_the_project(bare: World) -> None:
    run = bare.before("dbt_pipeline").ends("failed")
    expected = {"extract_data": "success", "dbt_run": "failed", "dbt_test": "upstream_failed", "load_data": "upstream_failed"}
    assert run.states() == expected
    assert "exit code 1" in run.log("dbt_run"), run.log("dbt_run")


def test_001_file_handoff_without_the_folder(bare: World) -> None:
    run = bare.before("file_handoff").ends("failed")
    assert run.states() == {"extract_data": "failed", "process_data": "upstream_failed"}
    assert run.tasks()["extract_data"]["note"].startswith("AirflowException: Failed to extract data: ")


def test_001_titanic_fixed_with_a_poor_model(bare: World) -> None:
    run = bare.before("titanic_ml_pipeline_fixed")
    row = run.retries("evaluate_model", tries=1, after=timedelta(minutes=5))
    assert "ValueError: Model accuracy " in row["note"] and "below threshold (0.8)" in row["note"]
    assert run.xcom("train_model")["accuracy"] <= 0.8


def test_001_pools_that_do_not_exist(bare: World) -> None:
    cpu, database = bare.before("cpu_pool"), bare.before("database_pool")
    for run, task_id, pool in (
        (cpu, "cpu_intensive_task", "cpu_bound_pool"),
        (database, "db_intensive_task", "database_access"),
        (database, "massive_query", "database_access"),
    ):
        assert run.states()[task_id] == "scheduled"
        assert pool in bare.client.why(run.dag_id, run.run_id, task_id)
    assert "cpu_bound_pool" in bare.system.process.text(), "the scheduler's log does not warn"


def test_001_pools_made_afterwards(bare: World) -> None:
    bare.client.run("pools", "set", "cpu_bound_pool", "2")
    bare.client.run("pools", "set", "database_access", "5")
    cpu, database = bare.before("cpu_pool").ends(), bare.before("database_pool").ends()
    assert {key: value for key, value in cpu.xcoms().items() if key[1] == "return_value"} == {
        ("cpu_intensive_task", "return_value"): "some",
        ("another_cpu_task", "return_value"): "another",
    }
    cpu.in_order("cpu_intensive_task", "another_cpu_task")
    rows = database.tasks()
    assert (rows["massive_query"]["pool_slots"], rows["db_intensive_task"]["pool_slots"]) == (5, 1)
    first, second = sorted(rows.values(), key=lambda row: row["start_date"])
    assert first["end_date"] <= second["start_date"], "five slots and one ran at once in a pool of five"
    assert database.xcom("massive_query") == "big query" and database.xcom("db_intensive_task") == "query"


def test_001_queue_that_nobody_serves(bare: World) -> None:
    run = bare.before("finance_queue")
    assert run.states() == {"process_finance_data": "queued"}
    assert "finance_priority" in bare.client.why("finance_queue", run.run_id, "process_finance_data")
    queue = next(row for row in bare.client.json("queues", "list") if row["queue"] == "finance_priority")
    assert not queue["workers"], f"somebody serves it: {queue}"
