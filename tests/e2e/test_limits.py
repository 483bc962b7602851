"""Limits: pools, weights, rates, concurrency keys, caps; `tasks why` names each one that holds a task."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from e2e_tools import HEAD, instances, states, wait_for
from harness import Standalone, eventually, standalone

DAGS = """
from airflow.sdk import BaseOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

WAIT = "until [ -e {folder}/$FILE ]; do sleep 0.05; done"


class Defers(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=4)), method_name="resume")

    def resume(self, context, event=None):
        return None


def waits(task_id, file, **more):
    return BashOperator(task_id=task_id, bash_command=WAIT, env={{"FILE": file}}, append_env=True, **more)


with DAG("pooled", schedule=None):
    waits("big", "pooled", pool="three", pool_slots=2, priority_weight=10)
    for name, weight in {{"low": 1, "high": 5}}.items():
        EmptyOperator(task_id=f"{{name}}_empty") >> waits(name, "pooled", pool="three", pool_slots=2, priority_weight=weight)
    waits("too_big", "pooled", pool="three", pool_slots=9)

with DAG("defers_in_pool", schedule=None):
    Defers(task_id="first", pool="held", priority_weight=2)
    EmptyOperator(task_id="then") >> waits("second", "never_needed_but_there", pool="held")

with DAG(
    "capped", schedule=None, default_args={{"executor_config": {{"tradewind": {{"dag_task_limit": 1}}}}}},
):
    waits("one", "capped")
    waits("two", "capped")

with DAG("once_per_dag", schedule=None):
    waits("alone", "alone", max_active_tis_per_dag=1)

with DAG("two_at_once", schedule=None, max_active_tasks=2):
    for number in range(3):
        waits(f"n{{number}}", "two")

with DAG("one_run", schedule=None, max_active_runs=1):
    waits("only", "one_run")
"""

#: Native tasks: the same limits, no Python.
YAML = """
dag_id: keyed
schedule: null
tasks:
  - id: writer
    operator: bash
    command: until [ -e {folder}/keyed ]; do sleep 0.05; done
    concurrency: {{key: warehouse, limit: 1}}
---
dag_id: keyed_too
schedule: null
tasks:
  - id: writer
    operator: bash
    command: "true"
    concurrency: [{{key: warehouse, limit: 1}}]
---
dag_id: rated
schedule: null
tasks:
  - {{id: a, operator: noop, pool: slow}}
  - {{id: b, operator: noop, pool: slow}}
  - {{id: c, operator: noop, pool: slow}}
  - {{id: d, operator: noop, pool: slow}}
---
dag_id: yaml_capped
schedule: null
task_limit: 1
tasks:
  - {{id: a, operator: bash, command: "until [ -e {folder}/yaml_capped ]; do sleep 0.05; done"}}
  - {{id: b, operator: bash, command: "true"}}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("limits")) as system:
        text = (HEAD + DAGS).format(folder=system.folder)
        system.write("limits.py", text)
        system.write("limits.yaml", YAML.format(folder=system.folder))
        system.start()
        for dag_id in ("one_run", "yaml_capped"):
            system.client.wait_for_dag(dag_id)
        system.client.run("pools", "set", "three", "3", "three slots")
        system.client.run("pools", "set", "held", "1", "one slot", "--include-deferred")
        system.client.run("pools", "set", "slow", "10", "two in three seconds", "--rate", "2/3s")
        yield system


def test_slots_are_weighted_and_the_heaviest_goes_first(ready: Standalone) -> None:
    client = ready.client
    run_id = client.trigger("pooled")
    wait_for(client, "pooled", run_id, "big", "running")
    eventually("the full pool", lambda: "1 of 3 slots open" in client.why("pooled", run_id, "low"))
    assert "can never run" in client.why("pooled", run_id, "too_big")
    assert "held by" in client.why("pooled", run_id, "high")
    (ready.folder / "pooled").touch()
    for name in ("low", "high"):
        wait_for(client, "pooled", run_id, name, "success")
    found = instances(client, "pooled", run_id)
    order = sorted(("big", "low", "high"), key=lambda name: found[name]["start_date"])
    assert order == ["big", "high", "low"]
    client.run("pools", "set", "three", "9", "more slots")
    assert client.finish("pooled", run_id) == "success"


def test_a_deferred_task_holds_its_slot_where_the_pool_says_so(ready: Standalone) -> None:
    client = ready.client
    (ready.folder / "never_needed_but_there").touch()
    run_id = client.trigger("defers_in_pool")
    wait_for(client, "defers_in_pool", run_id, "first", "deferred")
    pool = next(row for row in client.json("pools", "list") if row["pool"] == "held")
    assert (pool["include_deferred"], pool["deferred_slots"], pool["open_slots"]) == (True, 1, 0)
    assert "held" in client.why("defers_in_pool", run_id, "second")
    assert client.finish("defers_in_pool", run_id) == "success"
    found = instances(client, "defers_in_pool", run_id)
    assert found["second"]["start_date"] >= found["first"]["end_date"]


def test_a_rate_spreads_starts_over_time(ready: Standalone) -> None:
    client = ready.client
    assert next(row["rate"] for row in client.json("pools", "list") if row["pool"] == "slow") == "2/3s"
    run_id = client.trigger("rated")
    waiting = eventually(
        "two that wait",
        lambda: [name for name, state in states(client, "rated", run_id).items() if state == "scheduled"],
    )
    assert isinstance(waiting, list)
    assert "rate" in client.why("rated", run_id, waiting[-1])
    assert client.finish("rated", run_id) == "success"
    starts = sorted(
        datetime.fromisoformat(row["start_date"]).timestamp() for row in instances(client, "rated", run_id).values()
    )
    assert starts[2] - starts[0] >= 2.5, starts
    client.run("pools", "set", "slow", "10", "no rate")
    assert next(row["rate"] for row in client.json("pools", "list") if row["pool"] == "slow") is None


def test_a_concurrency_key_holds_across_dags(ready: Standalone) -> None:
    client = ready.client
    first = client.trigger("keyed")
    wait_for(client, "keyed", first, "writer", "running")
    second = client.trigger("keyed_too")
    eventually("the reason", lambda: 'key "warehouse"' in client.why("keyed_too", second, "writer"))
    (ready.folder / "keyed").touch()
    assert client.finish("keyed_too", second) == "success"


@pytest.mark.parametrize(
    ("dag_id", "file"), [("capped", "capped"), ("yaml_capped", "yaml_capped")], ids=["python", "yaml"]
)
def test_a_dag_caps_its_tasks_over_all_runs(ready: Standalone, dag_id: str, file: str) -> None:
    client = ready.client
    run_id = client.trigger(dag_id)

    def held() -> str | None:
        found = states(client, dag_id, run_id)
        waiting = [name for name, state in found.items() if state == "scheduled"]
        return waiting[0] if "running" in found.values() and waiting else None

    name = str(eventually("one that runs and one that waits", held))
    assert "task_limit is 1" in client.why(dag_id, run_id, name)
    (ready.folder / file).touch()
    assert client.finish(dag_id, run_id) == "success"


def test_the_limits_of_airflow_name_themselves(ready: Standalone) -> None:
    client = ready.client
    first, second = client.trigger("once_per_dag"), client.trigger("once_per_dag")
    wait_for(client, "once_per_dag", first, "alone", "running")
    eventually("the reason", lambda: "max_active_tis_per_dag is 1" in client.why("once_per_dag", second, "alone"))
    (ready.folder / "alone").touch()

    run_id = client.trigger("two_at_once")

    def waiting() -> str | None:
        found = states(client, "two_at_once", run_id)
        held = [name for name, state in found.items() if state == "scheduled"]
        return held[0] if list(found.values()).count("running") == 2 and held else None

    assert "max_active_tasks is 2" in client.why("two_at_once", run_id, str(eventually("the third", waiting)))
    (ready.folder / "two").touch()

    client.trigger("one_run")
    queued = client.trigger("one_run")
    assert "max_active_runs 1" in client.why("one_run", queued, "only")
    assert client.run("tasks", "failed-deps", "one_run", "only", queued) == client.why("one_run", queued, "only")
    (ready.folder / "one_run").touch()
    for dag_id, run in [("once_per_dag", second), ("two_at_once", run_id), ("one_run", queued)]:
        assert client.finish(dag_id, run) == "success"
