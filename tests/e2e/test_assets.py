"""Assets, and one DAG starting or waiting for another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e_tools import HEAD, finished_runs, instances, runs, states
from harness import Standalone, eventually, standalone

ASSETS = """
from airflow.sdk import AssetAlias, Metadata
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable

ORDERS = Asset(name="orders", uri="s3://lake/orders", extra={{"team": "sales"}})
STOCK = Asset(name="stock", uri="s3://lake/stock")
FOUND = Asset(name="found", uri="s3://lake/found")
ALIAS = AssetAlias("whatever-comes")

with DAG("makes_orders", schedule=None):

    @task(outlets=[ORDERS])
    def orders():
        yield Metadata(ORDERS, extra={{"rows": 42}})

    orders()

with DAG("makes_stock", schedule=None):
    EmptyOperator(task_id="stock", outlets=[STOCK])

with DAG("makes_found", schedule=None):

    @task(outlets=[ALIAS])
    def finds():
        get_current_context()["outlet_events"][ALIAS].add(FOUND, extra={{"by": "alias"}})

    finds()


@task
def look():
    events = get_current_context()["triggering_asset_events"]
    return {{asset.name: [event.extra for event in found] for asset, found in events.items()}}


with DAG("on_orders", schedule=[ORDERS]):

    @task(inlets=[ORDERS])
    def last():
        return get_current_context()["inlet_events"][ORDERS][-1].extra

    [look(), last()]

with DAG("on_both", schedule=(ORDERS & STOCK)):
    look()

with DAG("on_found", schedule=[ALIAS]):
    look()

with DAG(
    "on_either_or_time",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 0 1 1 *", timezone="UTC"), assets=(FOUND | STOCK)
    ),
    start_date=datetime(2026, 1, 1),
):
    look()
"""

OTHERS = """
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor

with DAG("child", schedule=None, params={{"number": 1}}):

    @task
    def give():
        return get_current_context()["params"]["number"]

    give()

with DAG("parent", schedule=None):
    waits = TriggerDagRunOperator(
        task_id="waits", trigger_dag_id="child", conf={{"number": 7}}, wait_for_completion=True, poke_interval=1
    )
    deferred = TriggerDagRunOperator(
        task_id="deferred", trigger_dag_id="child", trigger_run_id="by_parent", wait_for_completion=True,
        deferrable=True, poke_interval=1, logical_date="2026-03-01T00:00:00+00:00",
    )
    nobody = TriggerDagRunOperator(task_id="nobody", trigger_dag_id="no_such_dag")

with DAG("upper", schedule=None):
    PythonOperator(task_id="makes", python_callable=print) >> ExternalTaskMarker(
        task_id="marker", external_dag_id="lower", external_task_id="sees"
    )

with DAG("lower", schedule=None):
    ExternalTaskSensor(
        task_id="sees", external_dag_id="upper", external_task_id="makes", poke_interval=0.5, timeout=60
    ) >> EmptyOperator(task_id="after")
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("assets")) as system:
        system.write("assets.py", (HEAD + ASSETS).format(folder=system.folder))
        system.write("others.py", (HEAD + OTHERS).format(folder=system.folder))
        system.start()
        for dag_id in ("on_either_or_time", "lower"):
            system.client.wait_for_dag(dag_id)
        for dag_id in ("on_orders", "on_both", "on_found", "on_either_or_time"):
            system.client.run("dags", "unpause", dag_id)
        yield system


@pytest.fixture(scope="module")
def made(ready: Standalone) -> str:
    """An event of `orders` by its task."""
    run_id = ready.client.trigger("makes_orders")
    assert ready.client.finish("makes_orders", run_id) == "success"
    return run_id


def only_run(ready: Standalone, dag_id: str) -> str:
    (run_id,) = finished_runs(ready.client, dag_id, 1)
    return run_id


def test_an_event_starts_the_dags_that_wait_for_it(ready: Standalone, made: str) -> None:
    client = ready.client
    run_id = only_run(ready, "on_orders")
    assert client.xcom("on_orders", run_id, "look") == {"orders": [{"rows": 42}]}
    assert client.xcom("on_orders", run_id, "last") == {"rows": 42}
    run = client.json("dags", "state", "on_orders", run_id)
    assert (run["run_type"], run["logical_date"]) == ("asset_triggered", None)
    (event,) = client.json("assets", "events", "--consumed-by", "on_orders", run_id)
    assert (event["name"], event["extra"], event["source_run_id"]) == ("orders", {"rows": 42}, made)


def test_a_condition_waits_for_all_it_names(ready: Standalone, made: str) -> None:
    client = ready.client
    assert runs(client, "on_both") == {}
    client.run("assets", "update", "--name", "stock", "--extra", '{"by": "hand"}')
    run_id = only_run(ready, "on_both")
    assert client.xcom("on_both", run_id, "look") == {"orders": [{"rows": 42}], "stock": [{"by": "hand"}]}
    # The last tick of its cron made a run, too, when it was unpaused.
    eventually("both runs", lambda: len(finished_runs(client, "on_either_or_time", 2)) == 2)
    kinds = {row["run_type"]: row["run_id"] for row in client.json("dags", "list-runs", "on_either_or_time")}
    assert sorted(kinds) == ["asset_triggered", "scheduled"]
    run_id = kinds["asset_triggered"]
    assert client.xcom("on_either_or_time", run_id, "look") == {"stock": [{"by": "hand"}]}


def test_an_alias_brings_what_it_finds(ready: Standalone) -> None:
    client = ready.client
    assert client.finish("makes_found", client.trigger("makes_found")) == "success"
    run_id = only_run(ready, "on_found")
    assert client.xcom("on_found", run_id, "look") == {
        "found": [{"by": "alias"}], "whatever-comes": [{"by": "alias"}],
    }
    (event,) = client.json("assets", "events", "--name", "found")
    assert event["aliases"] == ["whatever-comes"]


def test_the_cli_shows_assets_and_materializes_them(ready: Standalone, made: str) -> None:
    client = ready.client
    assert {row["name"] for row in client.json("assets", "list")} >= {"orders", "stock", "found"}
    details = client.json("assets", "details", "--name", "orders")
    assert details["producing_tasks"] == ["makes_orders.orders"]
    assert details["reading_tasks"] == ["on_orders.last"]
    assert sorted(details["scheduled_dags"]) == ["on_both", "on_orders"]
    assert details["extra"] == {"team": "sales"} and details["last_event"]["source_run_id"] == made

    client.run("dags", "unpause", "makes_stock")
    run = client.json("assets", "materialize", "--uri", "s3://lake/stock", "--wait")
    assert (run["dag_id"], run["run_type"], run["state"]) == ("makes_stock", "asset_materialization", "success")

    slip = client.fails("assets", "materialize", "--name", "ordres")
    assert slip.code == 3 and 'did you mean "orders"' in slip.stderr, slip.stderr
    nobody = client.fails("assets", "materialize", "--name", "found")
    assert nobody.code == 3 and "outlets" in nobody.stderr, nobody.stderr


def test_a_dag_starts_another_and_waits_for_it(ready: Standalone) -> None:
    client = ready.client
    client.run("dags", "unpause", "child")
    run_id = client.trigger("parent")
    assert client.finish("parent", run_id) == "failed"
    assert states(client, "parent", run_id) == {"waits": "success", "deferred": "success", "nobody": "failed"}
    assert "no_such_dag" in client.run("tasks", "logs", "parent", run_id, "nobody")
    children = {row["run_id"]: row for row in client.json("dags", "list-runs", "child")}
    assert children["by_parent"]["logical_date"] == "2026-03-01T00:00:00+00:00"
    assert sorted(client.xcom("child", child, "give") for child in children) == [1, 7]


def test_a_dag_waits_for_the_task_of_another_and_is_cleared_with_it(ready: Standalone) -> None:
    client = ready.client
    date = ["-l", "2026-02-01"]
    lower = client.trigger("lower", *date)
    client.wait_for_task("lower", lower, "sees", "running")
    upper = client.trigger("upper", *date)
    assert client.finish("upper", upper) == "success"
    assert client.finish("lower", lower) == "success"

    args = ["tasks", "clear", "upper", "--run-id", upper, "-t", "makes", "-d"]
    named = [f"{row['dag_id']}.{row['task_id']}" for row in client.json(*args, "--dry-run")]
    assert sorted(named) == ["lower.after", "lower.sees", "upper.makes", "upper.marker"]
    alone = client.json(*args, "--dry-run", "--exclude-markers")
    assert sorted(row["task_id"] for row in alone) == ["makes", "marker"]
    client.run(*args, "-y")
    eventually("lower to run again", lambda: instances(client, "lower", lower)["after"]["start_date"] is not None
               and instances(client, "lower", lower)["sees"]["try_number"] == 2)
    assert client.finish("lower", lower) == "success"
