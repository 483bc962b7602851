"""Seed 000: the DAGs of "Building Airflow DAGs for ML Retraining"."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import data
from world import TODAY, Run, World, eventually

TRAINING = Path("/tmp/training_data.parquet")
READERS = ("custom_exceptions", "mlflow_retraining", "mlflow_retraining_fixed", "spark_training")


def test_000_first_dag(bare: World) -> None:
    run = bare.run("ml_retraining").ends()
    assert run.states() == {}


def test_000_ml_retraining_basic(world: World) -> None:
    import pandas as pd

    tasks = ["extract_data", "validate_data", "train_model", "evaluate_model", "deploy_model", "send_notification"]
    run = world.run("ml_retraining_basic").all_succeeded(*tasks)
    run.in_order(*tasks)
    xcoms = run.xcoms()
    assert xcoms["extract_data", "data_path"] == xcoms["extract_data", "return_value"] == str(TRAINING)
    assert xcoms["extract_data", "num_samples"] == data.RECENT
    assert xcoms["validate_data", "return_value"] is True
    assert xcoms["train_model", "model_path"] == xcoms["train_model", "return_value"] == "/tmp/new_model.pkl"
    for key in ("train_accuracy", "test_accuracy"):
        value = xcoms["train_model", key]
        assert isinstance(value, float) and 0.9 < value <= 1
    assert xcoms["evaluate_model", "should_deploy"] is True and xcoms["evaluate_model", "return_value"] is True
    assert xcoms["deploy_model", "return_value"] is True
    message = xcoms["send_notification", "return_value"]
    assert "✅ Model Retraining Successful" in message and f"- Training Samples: {data.RECENT:,}" in message
    assert f"{xcoms['train_model', 'test_accuracy']:.2%}" in message
    assert "✓ Data validation passed" in run.log("validate_data") and "Found null values: {'feature2': 40}" in run.log("validate_data")
    assert Path("/models/production_model.pkl").stat().st_size > 10_000
    # The gaps were dropped.
    assert len(pd.read_parquet(TRAINING)) == data.RECENT - data.GAPS


def test_000_ml_retraining_basic_again_compares(world: World) -> None:
    world.run("ml_retraining_basic").ends()
    for dag_id in READERS:
        world.settle(lambda dag_id=dag_id: world.run(dag_id).finish())
    run = world.trigger("ml_retraining_basic").ends()
    log = run.log("evaluate_model")
    production, new = (float(re.search(f"{what} model accuracy: ([0-9.]+)", log)[1]) for what in ("Production", "New"))
    assert f"{run.xcom('train_model', 'test_accuracy'):.4f}" == f"{new:.4f}"
    # Measured on the rows that it was trained with, the old model looks better than it is.
    assert production > 0.95 and run.xcom("evaluate_model", "should_deploy") == (new >= production * 0.98)
    word = "✅ Model Retraining Successful" if run.xcom("evaluate_model", "should_deploy") else "⚠️ Model Retraining Completed"
    assert word in run.xcom("send_notification")


def test_000_performance_sensor_with_no_metric(world: World) -> None:
    run = world.run("performance_sensor").ends()
    assert len(run.states()) == 7 and set(run.states().values()) == {"success"}
    assert "Could not retrieve metrics. Defaulting to retrain." in run.log("check_performance")
    queries = [request.query for request in world.prometheus.requests]
    assert queries and all(query == {"query": ["ml_model_accuracy"]} for query in queries)


def test_000_performance_sensor_with_a_low_metric(world: World) -> None:
    world.run("performance_sensor").ends()
    world.prometheus.accuracy = 0.85
    run = world.trigger("performance_sensor").ends()
    assert set(run.states().values()) == {"success"}
    assert "⚠️ Accuracy 0.8500 < 0.9000. Retraining needed." in run.log("check_performance")


def test_000_performance_sensor_with_a_broken_server(world: World) -> None:
    world.run("performance_sensor").ends()
    world.prometheus.broken = 503
    run = world.trigger("performance_sensor").ends()
    world.prometheus.broken = None
    assert "Could not retrieve metrics" in run.log("check_performance")


def test_000_performance_sensor_with_a_good_metric_begins(world: World) -> None:
    world.prometheus.accuracy = 0.95
    run = Run(world.hurried.client, "performance_sensor", world.hurried.client.trigger("performance_sensor", "-r", "good"))
    run.waits("check_performance", "running")
    eventually("a first poke", lambda: "✓ Accuracy 0.9500 >= 0.9000. No retraining needed." in run.log("check_performance"))
    assert run.states()["extract_data"] == "no_status"


def test_000_deep_learning_bash(world: World) -> None:
    run = world.run("deep_learning_bash").all_succeeded("extract_data", "train_dl_model")
    called = json.loads(Path("/tmp/train_neural_net.json").read_text())
    assert called["folder"] == "/opt/ml"
    arguments = "--epochs 50 --batch-size 32 --data-path /tmp/training_data.parquet --output-path /tmp/dl_model.h5"
    assert called["arguments"] == arguments.split(), run.log("train_dl_model")


def test_000_k8s_pod(world: World) -> None:
    run = world.run("k8s_gpu_training").all_succeeded("train_on_gpu")
    (pod,) = world.kubernetes.of_run("k8s_gpu_training", run.run_id)
    assert pod.name.startswith("ml-training-pod") and pod.spec["metadata"]["namespace"] == "ml-training"
    container = pod.container
    assert container["image"] == "myorg/ml-training:latest"
    assert container["command"] == ["python", "train.py"] and container["args"] == ["--gpu", "--epochs", "100"]
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "16Gi"}
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    assert pod.phases == ["Pending", "Running", "Succeeded"] or pod.phases == ["Pending", "Succeeded"]
    assert "stand-in pod runs: python train.py --gpu --epochs 100" in run.log("train_on_gpu")
    assert pod.deleted, "the pod was not cleaned up"
    assert not world.kubernetes.refusals


def test_000_spark_submit(world: World) -> None:
    run = world.run("spark_training").all_succeeded("extract_data", "train_spark_model")
    seen = json.loads(Path("/tmp/spark_model.json").read_text())
    assert seen["arguments"] == {"input": str(TRAINING), "output": "/tmp/spark_model"}
    assert seen["conf"] == {
        "spark.executor.memory": "8g",
        "spark.executor.cores": "4",
        "spark.executor.instances": "10",
    }
    assert seen["rows"] == data.RECENT - data.GAPS and seen["master"] == "local[1]"
    assert Path("/tmp/spark_model/metadata/_SUCCESS").exists(), "Spark has written no model"
    assert "/opt/spark/train_ml_model.py" in run.log("train_spark_model")


def test_000_mlflow_as_written_fails(world: World) -> None:
    run = world.run("mlflow_retraining").ends("failed")
    assert run.states() == {"extract_data": "success", "train_with_mlflow": "failed"}
    error = "TypeError: RandomForestClassifier.__init__() got an unexpected keyword argument 'training_date'"
    assert run.tasks()["train_with_mlflow"]["note"].startswith(error)
    (kept,) = [found for found in mlflow_runs(world, "model_retraining") if found["info"]["status"] == "FAILED"]
    assert kept["info"]["run_name"] == f"retrain_{TODAY}"
    assert set(parameters(kept)) == {"n_estimators", "max_depth", "training_date", "num_samples"}


def test_000_mlflow_fixed(world: World) -> None:
    run = world.run("mlflow_retraining_fixed").all_succeeded("extract_data", "train_with_mlflow")
    xcoms = run.xcoms()
    assert xcoms["train_with_mlflow", "model_path"] == xcoms["train_with_mlflow", "return_value"] == "/tmp/new_model.pkl"
    accuracy, run_id = xcoms["train_with_mlflow", "test_accuracy"], xcoms["train_with_mlflow", "mlflow_run_id"]
    (kept,) = [found for found in mlflow_runs(world, "model_retraining") if found["info"]["status"] == "FINISHED"]
    assert kept["info"]["run_id"] == run_id and kept["info"]["run_name"] == f"retrain_{TODAY}"
    samples = int((data.RECENT - data.GAPS) * 0.8)
    assert parameters(kept) == {
        "n_estimators": "100", "max_depth": "10", "training_date": str(TODAY), "num_samples": str(samples)
    }  # fmt: skip
    metrics = {metric["key"]: metric["value"] for metric in kept["data"]["metrics"]}
    assert set(metrics) == {"train_accuracy", "test_accuracy"} and metrics["test_accuracy"] == accuracy
    assert list((world.work / "mlflow/artifacts").rglob("MLmodel")), "the server has no model"
    assert accuracy > 0.90
    (version,) = world.mlflow("model-versions/search?filter=name%3D%27FraudDetectionModel%27")["model_versions"]
    assert version["run_id"] == run_id and version["version"] == "1"


def mlflow_runs(world: World, experiment: str) -> list[dict]:
    found = world.mlflow(f"experiments/get-by-name?experiment_name={experiment}")["experiment"]["experiment_id"]
    return world.mlflow("runs/search", experiment_ids=[found]).get("runs", [])


def parameters(run: dict) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in run["data"]["params"]}


def test_000_great_expectations_as_written_fails(world: World) -> None:
    run = world.run("great_expectations_check").ends("failed")
    assert run.states() == {"extract_data": "success", "validate_data": "failed"}
    error = "AttributeError: 'ExpectationValidationResult' object has no attribute 'results'"
    assert run.tasks()["validate_data"]["note"].startswith(error)


def test_000_great_expectations_fixed(world: World) -> None:
    run = world.run("great_expectations_check_fixed").all_succeeded("extract_data", "validate_data")
    assert run.xcom("validate_data") is True
    assert "✓ Data validation passed all expectations" in run.log("validate_data")


def test_000_great_expectations_fixed_with_spoiled_data(world: World) -> None:
    for dag_id in ("great_expectations_check", "great_expectations_check_fixed"):
        world.settle(lambda dag_id=dag_id: world.run(dag_id).finish())
    data.training(Path("/tmp/training_data.csv"), 1500, spoiled=True)
    run = world.trigger("great_expectations_check_fixed").ends("failed")
    assert run.tasks()["validate_data"]["note"].startswith("ValueError: Data validation failed: 2 expectations failed")
    log = run.log("validate_data")
    assert " - expect_column_values_to_not_be_null" in log and " - expect_column_values_to_be_in_set" in log


def test_000_multi_model_branch_as_written_fails(bare: World) -> None:
    run = bare.run("multi_model_branch").ends("failed")
    states = run.states()
    assert {name: states[name] for name in ("extract_data", "train_rf", "train_xgb", "train_lr")} == dict.fromkeys(
        ("extract_data", "train_rf", "train_xgb", "train_lr"), "success"
    )
    assert states["select_best"] == "failed"
    assert {states[name] for name in ("deploy_rf", "deploy_xgb", "deploy_lr")} == {"upstream_failed"}
    error = "TypeError: '>' not supported between instances of 'NoneType' and 'NoneType'"
    assert run.tasks()["select_best"]["note"].startswith(error)


def test_000_multi_model_branch_fixed(bare: World) -> None:
    run = bare.run("multi_model_branch_fixed").ends()
    states = run.states()
    assert (states["deploy_xgb"], states["deploy_rf"], states["deploy_lr"]) == ("success", "skipped", "skipped")
    assert "Best model: deploy_xgb with accuracy 0.9300" in run.log("select_best")
    assert run.xcom("train_xgb", "accuracy") == 0.93
    assert "deploying from deploy_xgb" in run.log("deploy_xgb")


def test_000_callbacks_retries(bare: World) -> None:
    run = bare.run("callbacks_retries").ends("failed")
    rows = run.tasks()
    assert (rows["ok"]["state"], rows["fails"]["state"]) == ("success", "failed")
    assert (rows["fails"]["try_number"], rows["fails"]["max_tries"], rows["ok"]["max_tries"]) == (2, 1, 3)
    assert "✅ ok succeeded" in run.log("ok")
    assert "⚠️ Retrying fails (attempt 1)" in run.log("fails", 1)
    last = run.log("fails", 2)
    assert "❌ DAG Failed: callbacks_retries" in last and "Task: fails" in last and "Error: always fails" in last
    assert re.search(r"Execution Date: 20\d\d-\d\d-\d\d", last) and re.search(r"Log: http", last), last
    assert "❌" not in run.log("fails", 1)


def test_000_custom_exceptions(world: World) -> None:
    run = world.run("custom_exceptions").all_succeeded("extract_data", "train_model")
    assert run.xcom("train_model") == f"model trained on {data.RECENT - data.GAPS} rows"


def test_000_custom_exceptions_with_few_rows(world: World) -> None:
    for dag_id in READERS:
        world.settle(lambda dag_id=dag_id: world.run(dag_id).finish())
    kept = shutil.copy(TRAINING, "/tmp/kept.parquet")
    data.training(TRAINING, 10)
    run = world.trigger("custom_exceptions").ends("failed")
    os.replace(kept, TRAINING)
    assert run.tasks()["train_model"]["note"].startswith("ValueError: Insufficient training data: 10 samples")


def test_000_metrics_prometheus(bare: World) -> None:
    run = bare.run("metrics_prometheus").all_succeeded("train_with_metrics")
    assert run.xcom("train_with_metrics") == "model"
    assert re.search(r"Training completed in \d+\.\d\ds with accuracy 0\.9300", run.log("train_with_metrics"))
    # Parsed again, and run again by the same warm interpreter.
    again = bare.trigger("metrics_prometheus").ends()
    assert "Duplicated timeseries" not in again.log("train_with_metrics")
    assert not [name for name in bare.client.import_errors() if "metrics" in name]


def test_000_xcom_small_data(bare: World) -> None:
    run = bare.run("xcom_small_data").all_succeeded("push")
    assert run.xcom("push", "model_path") == "/tmp/model.pkl"


def test_000_idempotent_extract(bare: World) -> None:
    run = bare.run("idempotent_extract").all_succeeded("extract_data")
    path = Path(f"/tmp/data_{TODAY}.parquet")
    assert run.xcom("extract_data") == str(path)
    before = path.stat()
    run.clear().ends()
    assert run.tasks()["extract_data"]["try_number"] == 2
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert "Data already extracted, skipping" in run.log("extract_data") and run.xcom("extract_data") == str(path)


def test_000_dependencies(bare: World) -> None:
    tasks = ["extract", "validate", "train", "evaluate", "deploy"]
    run = bare.run("explicit_dependencies").all_succeeded(*tasks)
    run.in_order(*tasks)


def test_000_variables(bare: World) -> None:
    assert bare.run("variables").ends().xcom("show") == ["0.9", "90"]
    bare.client.run("variables", "set", "data_lookback_days", "30")
    assert bare.trigger("variables").ends().xcom("show") == ["0.9", "30"]


def test_000_connection_hook(bare: World) -> None:
    run = bare.run("connection_hook").ends()
    assert run.xcom("build_conn_string") == "postgresql://ml:s3cr3t-pa55@ml.internal:5433/features"
    log = run.log("build_conn_string")
    assert "postgresql://ml:***@ml.internal:5433/features" in log and "s3cr3t-pa55" not in log
