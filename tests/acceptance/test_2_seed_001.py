"""Seed 001: the DAGs of "Getting Started with Apache Airflow"."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from world import TODAY, Run, World, eventually, instant


def test_001_weather_pipeline(bare: World) -> None:
    run = bare.run("weather_data_pipeline")
    row = run.retries("load_weather", tries=1, after=timedelta(minutes=5))
    assert row["max_tries"] == 3 and 'syntax error at or near "None"' in row["note"]
    states = run.states()
    assert {states[name] for name in ("create_table", "extract_weather", "transform_weather")} == {"success"}
    cities = run.xcom("extract_weather")
    assert [(city["city"], city["temperature"]) for city in cities] == [("New York", 25.0), ("London", 25.0), ("Tokyo", 25.0)]
    for record in run.xcom("transform_weather"):
        assert record["temperature"] == 77.0 and record["date"] == str(TODAY)


def test_001_weather_pipeline_fixed(world: World) -> None:
    tasks = ["create_table", "extract_weather", "transform_weather", "load_weather_data", "load_weather"]
    run = world.run("weather_data_pipeline_fixed").all_succeeded(*tasks)
    run.in_order(*tasks)
    rows = world.query("weather", "SELECT date::text, city, temperature, conditions FROM weather_data ORDER BY city")
    assert rows == [(str(TODAY), city, 77.0, "Sunny") for city in ("London", "New York", "Tokyo")]


def test_001_retries_fixed(bare: World) -> None:
    run = bare.run("retries_fixed")
    row = run.retries("fragile_task", tries=1, after=timedelta(minutes=5), at_most=timedelta(minutes=10))
    assert row["max_tries"] == 3 and "first try fails" in row["note"]


def test_001_email_alerts_fixed(bare: World) -> None:
    run = bare.run("email_alerts_fixed").ends("failed")
    row = run.tasks()["alarming_task"]
    assert (row["state"], row["try_number"], row["max_tries"]) == ("failed", 2, 1)
    (mail,) = bare.mailbox.about("email_alerts_fixed")
    assert sorted(mail.recipients) == ["data-team@company.com", "your.personal@gmail.com"]
    assert "alarming_task" in mail.subject and "always fails" in mail.text()


@pytest.mark.parametrize(("source", "at"), [("sales", "00:00"), ("marketing", "12:00"), ("support", "06:00")])
def test_001_dynamic_dags(bare: World, source: str, at: str) -> None:
    run = bare.run(f"process_{source}_data").all_succeeded("extract", "process")
    assert run.run_id == f"scheduled__{TODAY}T{at}:00+00:00"
    assert run.xcom("extract") == {"data": "sample_data"} and run.xcom("process") == {"processed": True}
    assert f"Extracting data from api.example.com/{source} for {TODAY}" in run.log("extract")
    assert "Processing data: {'data': 'sample_data'}" in run.log("process")


def test_001_my_first_spell(bare: World) -> None:
    assert bare.run("my_first_spell").ends().xcom("load_task") == 12


def test_001_xcom(bare: World) -> None:
    run = bare.run("spell_xcom").ends()
    assert run.xcom("push_task", "spell_stats") == {"spell_power": 9000}
    assert "Spell power: 9000" in run.log("pull_task")


def test_001_titanic(world: World) -> None:
    check_titanic(world.run("titanic_ml_pipeline"))


def test_001_titanic_fixed(world: World) -> None:
    check_titanic(world.run("titanic_ml_pipeline_fixed"))


def check_titanic(run: Run) -> None:
    run.all_succeeded("prepare_data", "train_model", "evaluate_model", "deploy_model")
    xcoms = run.xcoms()
    prepared, metrics = xcoms["prepare_data", "return_value"], xcoms["train_model", "return_value"]
    assert len(prepared["X"]) == len(prepared["y"]) == 891
    assert prepared["features"] == ["Pclass", "Sex", "Age", "Fare", "FamilySize", "IsAlone", "Embarked"]
    assert all(value == value and value is not None for row in prepared["X"] for value in row.values()), "a gap is left"
    assert set(metrics) == {"accuracy", "precision", "recall", "f1"} and metrics["accuracy"] > 0.8
    assert xcoms["evaluate_model", "return_value"] == "Model performance acceptable, proceed with deployment"
    assert xcoms["deploy_model", "return_value"] == "Model deployment completed"
    assert Path("/opt/airflow/models/titanic_model.pkl").stat().st_size > 10_000
    # Both DAGs write it, with the same data and the same seed.
    assert json.loads(Path("/opt/airflow/models/titanic_metrics.json").read_text()) == metrics
    assert f"Model metrics: {metrics}" in run.log("deploy_model")


def test_001_mlflow(world: World) -> None:
    run = world.run("mlflow_integration").all_succeeded("train_with_mlflow")
    found = re.fullmatch(r"Run completed with accuracy: ([0-9.]+)", run.xcom("train_with_mlflow"))
    assert found and float(found[1]) > 0.8
    (kept,) = world.mlflow("runs/search", experiment_ids=["0"])["runs"]
    assert (kept["info"]["run_name"], kept["info"]["status"]) == ("airflow_triggered_run", "FINISHED")
    assert {p["key"]: p["value"] for p in kept["data"]["params"]} == {"n_estimators": "100", "max_depth": "10"}
    (metric,) = kept["data"]["metrics"]
    assert (metric["key"], metric["value"]) == ("accuracy", float(found[1]))
    assert list((world.work / "mlflow/artifacts/0").rglob("MLmodel")), "the server has no model"


def test_001_sagemaker_fixed(bare: World) -> None:
    run = bare.run("sagemaker_deployment_fixed").all_succeeded("create_sagemaker_model")
    (call,) = bare.aws.calls("SageMaker.CreateModel")
    assert call["ModelName"] == "airflow-deployed-model"
    assert call["PrimaryContainer"] == {
        "Image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-custom-image:latest",
        "ModelDataUrl": "s3://my-bucket/model.tar.gz",
    }
    role = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole"
    assert call["ExecutionRoleArn"] == role
    kept = bare.aws.client("sagemaker").describe_model(ModelName="airflow-deployed-model")
    assert kept["ModelArn"] in json.dumps(run.xcom("create_sagemaker_model"))


def test_001_slack_callbacks(bare: World) -> None:
    bare.run("notify_example").ends()
    failed = bare.trigger("notify_example", "-c", '{"fail": true}').ends("failed")
    assert failed.tasks()["fail_if_asked"]["note"].startswith("RuntimeError: asked to fail")
    expected = ["DAG notify_example completed successfully!", "DAG notify_example failed on task fail_if_asked"]

    eventually("two messages", lambda: len(bare.slack.requests) >= 2, 60)
    assert [message["text"] for message in bare.slack.messages()] == expected
    for request in bare.slack.requests:
        assert (request.method, request.path) == ("POST", "/services/T0/B0/webhook-token")


def test_001_spark(world: World) -> None:
    run = world.run("spark_big_data").all_succeeded("process_big_data")
    seen = json.loads(Path("/tmp/spark_job.json").read_text())
    assert seen["arguments"] == ["--input", "s3://bucket/input", "--output", "s3://bucket/output"]
    assert seen["memory"] == "4g" and seen["total"] == 5050
    assert "spark-submit" in run.log("process_big_data")


def test_001_spark_that_fails(world: World) -> None:
    world.settle(lambda: world.run("spark_big_data").finish())
    Path("/path/to/spark_job.py").write_text("import sys\nsys.exit(7)\n")
    run = world.trigger("spark_big_data").ends("failed")
    assert "Cannot execute" in run.tasks()["process_big_data"]["note"], run.tasks()["process_big_data"]["note"]


def test_001_dbt(world: World) -> None:
    run = world.run("dbt_pipeline").all_succeeded("extract_data", "dbt_run", "dbt_test", "load_data")
    run.in_order("extract_data", "dbt_run", "dbt_test", "load_data")
    import duckdb

    with duckdb.connect("/path/to/dbt/warehouse.duckdb", read_only=True) as warehouse:
        assert warehouse.execute("select * from revenue order by city").fetchall() == [("london", 24.5), ("tokyo", 30.5)]
    results = json.loads(Path("/path/to/dbt/project/target/run_results.json").read_text())
    assert results["args"]["which"] == "test"
    assert [result["status"] for result in results["results"]] == ["pass"] * 3


def test_001_custom_operator(bare: World) -> None:
    run = bare.run("custom_operator").all_succeeded("custom")
    assert run.xcom("custom") == "Processed spell"
    assert "Executing with custom_param: spell" in run.log("custom")


def test_001_custom_hook(bare: World) -> None:
    assert bare.run("custom_hook").ends().xcom("run_command") == "wizard@service.internal:4242 ran ping"


def test_001_variable_cache(bare: World) -> None:
    run = bare.run("variable_cache").all_succeeded("first", "second")
    rows = [{"customer": 1}, {"customer": 2}]
    assert run.xcom("first") == run.xcom("second") == rows
    key = f"customer_data_{TODAY}"
    first = run.log("first")
    assert "Cache retrieval error: " in first and key in first and "Cache miss - fetching fresh data" in first
    assert "Using cached data from " in run.log("second") and "Cache miss" not in run.log("second")
    assert json.loads(bare.client.run("variables", "get", key))["data"] == rows


def test_001_long_running_timeout(bare: World) -> None:
    assert bare.run("long_running_timeout").ends().xcom("etl_from_hell") == "done"


def test_001_long_running_external_sensor_waits(bare: World) -> None:
    run = bare.run("long_running_external_sensor")
    row = run.waits("check_etl_status", "up_for_reschedule")
    delay = (instant(row["next_at"]) - instant(row["end_date"])).total_seconds()
    assert 595 <= delay <= 600, f"it looks again after {delay} s"
    assert run.xcom("trigger_etl_job") == "job-1" and run.states()["process_etl_results"] not in ("success", "failed")
    queue = next(row for row in bare.client.json("queues", "list") if row["queue"] == "default")
    assert row["reschedules"] == 1, f"it holds a slot: {queue}"


def test_001_file_handoff(world: World) -> None:
    import pandas as pd

    run = world.run("file_handoff").all_succeeded("extract_data", "process_data")
    path = run.xcom("extract_data")
    assert re.fullmatch(r"/shared/tmp/data_20260329T\d{6}\.parquet", path), path
    assert len(pd.read_parquet(path)) == 1000


def test_001_k8s_pod(bare: World) -> None:
    run = bare.run("k8s_pandas").all_succeeded("pandas_task")
    (pod,) = bare.kubernetes.of_run("k8s_pandas", run.run_id)
    assert pod.name.startswith("pandas-task") and pod.spec["metadata"]["namespace"] == "airflow"
    assert pod.container["image"] == "our-registry.com/data-science-env:2.1.3"
    assert pod.container["command"] == ["python", "/scripts/process.py"] and not pod.container.get("args")
    assert "stand-in pod runs: python /scripts/process.py" in run.log("pandas_task")


def test_001_k8s_pod_that_fails(bare: World) -> None:
    run = bare.trigger("k8s_pandas", "-r", "ends-with-3").ends("failed")
    assert run.states() == {"pandas_task": "failed"}
