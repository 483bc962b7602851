"""Seed 002: the DAGs of "A complete Apache Airflow tutorial"."""

from __future__ import annotations

import io
import zipfile

import pytest
from world import World, instant


def test_002_dag_context_manager(bare: World) -> None:
    assert bare.run("my_dag_in_context").ends().states() == {}


def test_002_operators(bare: World) -> None:
    run = bare.run("bash_and_mysql").all_succeeded("bash_task", "mysql_task")
    assert run.xcom("bash_task") == "hello from bash"
    assert "SELECT 1" in run.log("mysql_task")
    # One row, a tuple, which Airflow serializes with its type.
    (row,) = run.xcom("mysql_task")
    assert row["__data__"] == [1]


def test_002_dependencies_chain(bare: World) -> None:
    run = bare.run("dependencies_chain").all_succeeded("task1", "task2", "task3")
    run.in_order("task1", "task2", "task3")


@pytest.mark.parametrize(
    ("dag_id", "tasks"),
    [("dependencies_list", ("task1", "task2", "task3")), ("dependencies_set_downstream", ("t1", "t2", "t3"))],
)
def test_002_dependencies_side_by_side(bare: World, dag_id: str, tasks: tuple[str, ...]) -> None:
    run = bare.run(dag_id).all_succeeded(*tasks)
    run.in_order(tasks[0], tasks[1])
    run.in_order(tasks[0], tasks[2])
    rows = run.tasks()
    assert rows[tasks[1]]["scheduled_at"] == rows[tasks[2]]["scheduled_at"], "one waited for the other"
    assert instant(rows[tasks[1]]["scheduled_at"]) >= instant(rows[tasks[0]]["end_date"])


def test_002_xcom(bare: World) -> None:
    run = bare.run("mlops_xcom").all_succeeded("train_model", "deploy_model")
    assert run.xcom("train_model", "model_path") == "/tmp/model.pt"
    assert "deploying /tmp/model.pt" in run.log("deploy_model")


def test_002_taskflow(bare: World) -> None:
    run = bare.run("mlops").all_succeeded("load_data", "preprocessing", "fit")
    run.in_order("load_data", "preprocessing", "fit")
    values = {task: value for (task, key), value in run.xcoms().items() if key == "return_value"}
    rows = [{"image": 1}, {"image": 2}]
    assert values == {"load_data": rows, "preprocessing": rows}


def test_002_schedule_interval(bare: World) -> None:
    assert bare.run("my_dag").ends().states() == {}
    (following,) = bare.client.json("dags", "next-execution", "my_dag")
    assert instant(following["run_after"]).isoformat() == "2026-03-30T00:00:00+00:00"


def test_002_postgres_hook(bare: World) -> None:
    run = bare.run("postgres_hook").ends("failed")
    note = run.tasks()["create_mytable"]["note"]
    assert "SyntaxError: syntax error at end of input" in note


def test_002_postgres_hook_fixed(bare: World) -> None:
    bare.run("postgres_hook_fixed").all_succeeded("create_mytable")
    columns = bare.query(
        "custom", "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '_mytable' ORDER BY 1"
    )
    assert columns == [("modelid", "integer"), ("modelname", "character varying")]
    again = bare.trigger("postgres_hook_fixed").ends("failed")
    assert 'DuplicateTable: relation "_mytable" already exists' in again.tasks()["create_mytable"]["note"]


def test_002_s3_pytorch_k8s_fixed(world: World) -> None:
    tasks = ["read_images_from_s3", "preprocess_images", "fit_model", "upload_model", "deploy_model"]
    run = world.run("s3_pytorch_k8s_fixed").all_succeeded(*tasks)
    run.in_order(*tasks)
    for task in tasks[:2]:
        assert run.xcom(task, "images") == ["cat.png", "dog.png"]
    model = io.BytesIO(world.aws.client("s3").get_object(Bucket="my-model-bucket", Key="trained_model.pt")["Body"].read())
    # torch's format is a zip file with a pickle in it.
    with zipfile.ZipFile(model) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        assert b"trained_on" in archive.read(pickled) and b"cat.png" in archive.read(pickled)
    (pod,) = [pod for pod in world.kubernetes.pods if pod.spec["metadata"]["labels"]["dag_id"] == "s3_pytorch_k8s_fixed"]
    assert pod.name.startswith("deploy-model") and pod.spec["metadata"]["namespace"] == "default"
    assert pod.container["command"] == ["python", "deploy.py"] and pod.container["image"] == "myimage:latest"
