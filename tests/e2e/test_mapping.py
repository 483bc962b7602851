"""Dependencies and mapping: branches, trigger rules, setup and teardown; expand in all its forms, groups, bad lengths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e_tools import HEAD, finished_runs, instances, states, xcoms
from harness import Standalone, eventually, standalone

DEPENDENCIES = """
with DAG("dependencies", schedule=None):

    @task.branch
    def choose():
        return "left"

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def stop():
        return False

    @task
    def fail():
        raise AirflowFailException("as planned")

    left, right = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    choose() >> [left, right] >> join

    stopped = EmptyOperator(task_id="stopped")
    stop() >> stopped >> EmptyOperator(task_id="after_stop", trigger_rule="all_done")

    failed = fail()
    failed >> [EmptyOperator(task_id="blocked"), EmptyOperator(task_id="mends", trigger_rule="one_failed")]

    opened = EmptyOperator(task_id="opened").as_setup()
    work = EmptyOperator(task_id="work", trigger_rule="all_success")
    closed = EmptyOperator(task_id="closed").as_teardown(setups=opened)
    failed >> work
    opened >> work >> closed

    with TaskGroup("inner"):
        EmptyOperator(task_id="one") >> EmptyOperator(task_id="two")
"""

MAPPED = """
with DAG("mapped", schedule=None, params={{"skip": 2}}):

    @task
    def numbers():
        return [3, 1, 2]

    @task
    def letters():
        return ["a", "b"]

    @task
    def nothing():
        return []

    @task(map_index_template="{{{{ label }}}}")
    def double(number):
        get_current_context()["label"] = f"n{{number}}"
        return number * 2

    @task
    def pair(a, b):
        return f"{{a}}{{b}}"

    @task
    def add(x, y=0):
        return x + y

    @task
    def total(values):
        return sum(values)

    def odd(number):
        if number == 2:
            raise AirflowSkipException("even")
        return number

    @task
    def show(value):
        return json.dumps(value)

    found, given = numbers(), letters()
    total(double.expand(number=found))
    pair.expand(a=["x", "y"], b=found)
    add.expand_kwargs([{{"x": 1, "y": 10}}, {{"x": 2, "y": 5}}])
    show.override(task_id="mapped_odd").expand(value=found.map(odd))
    show.override(task_id="zipped").expand(value=found.zip(given, fillvalue="-"))
    show.override(task_id="joined").expand(value=found.concat(given))
    double.override(task_id="over_nothing").expand(number=nothing()) >> EmptyOperator(task_id="after_nothing")
    BashOperator.partial(task_id="shell").expand(bash_command=["echo one", "echo two; exit 99", "exit 1"])

    @task_group
    def each(number):
        @task
        def square(value):
            return value * value

        @task
        def text(value):
            return f"={{value}}"

        return text(square(number))

    show.override(task_id="squares")(each.expand(number=found))
"""

BAD = """
with DAG("not_a_list", schedule=None):

    @task
    def push():
        return 7

    @task
    def over(value):
        return value

    over.expand(value=push())

with DAG("too_long", schedule=None):

    @task
    def push():
        return list(range(9))

    @task
    def over(value):
        return value

    over.expand(value=push()) >> EmptyOperator(task_id="after")
"""

UNKNOWN_RULE = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("unknown_rule", schedule=None):
    EmptyOperator(task_id="a", trigger_rule="all_sucess")
"""

NATIVE = """
dag_id: native_mapped
schedule: null
tasks:
  - {id: words, operator: noop, value: [red, green]}
  - {id: say, operator: bash, depends_on: [words], expand: {command: [echo one, echo two]}}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("mapping"), TRADEWIND__SCHEDULER__MAX_MAP_LENGTH="8") as system:
        for name, text in {"dependencies": DEPENDENCIES, "mapped": MAPPED, "bad": BAD}.items():
            system.write(f"{name}.py", (HEAD + text).format(folder=system.folder))
        system.write("unknown_rule.py", UNKNOWN_RULE)
        system.write("native.yaml", NATIVE)
        system.start()
        for dag_id in ("dependencies", "mapped", "not_a_list", "too_long", "native_mapped"):
            system.client.wait_for_dag(dag_id)
        yield system


@pytest.fixture(scope="module")
def mapped(ready: Standalone) -> str:
    run_id = ready.client.trigger("mapped")
    # One instance of `shell` fails, and it is a leaf.
    assert ready.client.finish("mapped", run_id) == "failed"
    return run_id


def test_branches_rules_and_teardowns_end_as_airflow_says(ready: Standalone) -> None:
    run_id = ready.client.trigger("dependencies")
    # Leaves decide: `blocked` is upstream_failed.
    assert ready.client.finish("dependencies", run_id) == "failed"
    assert states(ready.client, "dependencies", run_id) == {
        "choose": "success",
        "left": "success",
        "right": "skipped",
        "join": "success",
        "stop": "success",
        "stopped": "skipped",
        "after_stop": "success",
        "fail": "failed",
        "blocked": "upstream_failed",
        "mends": "success",
        "opened": "success",
        "work": "upstream_failed",
        "closed": "success",
        "inner.one": "success",
        "inner.two": "success",
    }


def test_expand_makes_an_instance_for_each_value(ready: Standalone, mapped: str) -> None:
    found = instances(ready.client, "mapped", mapped)
    assert xcoms(ready.client, "mapped", mapped, "double") == [6, 2, 4]
    assert ready.client.xcom("mapped", mapped, "total") == 12
    assert [found[f"double[{index}]"]["rendered_map_index"] for index in range(3)] == ["n3", "n1", "n2"]
    assert "double" not in found, "the unexpanded instance became the first"


def test_several_arguments_multiply_and_kwargs_come_in_rows(ready: Standalone, mapped: str) -> None:
    assert xcoms(ready.client, "mapped", mapped, "pair") == ["x3", "x1", "x2", "y3", "y1", "y2"]
    assert xcoms(ready.client, "mapped", mapped, "add") == [11, 7]


def test_map_zip_and_concat_reshape_what_is_mapped_over(ready: Standalone, mapped: str) -> None:
    assert xcoms(ready.client, "mapped", mapped, "mapped_odd") == ["3", "1"]
    found = states(ready.client, "mapped", mapped)
    assert [found[f"mapped_odd[{index}]"] for index in range(3)] == ["success", "success", "skipped"]
    assert xcoms(ready.client, "mapped", mapped, "zipped") == ['[3, "a"]', '[1, "b"]', '[2, "-"]']
    assert xcoms(ready.client, "mapped", mapped, "joined") == ["3", "1", "2", '"a"', '"b"']


def test_a_mapped_group_runs_once_for_each_value(ready: Standalone, mapped: str) -> None:
    assert xcoms(ready.client, "mapped", mapped, "each.square") == [9, 1, 4]
    assert ready.client.xcom("mapped", mapped, "squares") == '["=9", "=1", "=4"]'


def test_nothing_to_map_over_skips(ready: Standalone, mapped: str) -> None:
    found = states(ready.client, "mapped", mapped)
    assert (found["over_nothing"], found["after_nothing"]) == ("skipped", "skipped")


def test_the_cli_names_instances_by_their_index(ready: Standalone, mapped: str) -> None:
    client = ready.client
    found = states(client, "mapped", mapped)
    assert [found[f"shell[{index}]"] for index in range(3)] == ["success", "skipped", "failed"]
    assert "two" in client.run("tasks", "logs", "mapped", mapped, "shell", "--map-index", "1")
    rendered = client.run("tasks", "render", "mapped", "shell", mapped, "--map-index", "2")
    assert "exit 1" in rendered
    missing = client.fails("tasks", "why", "mapped", mapped, "shell")
    assert missing.code == 3 and "0 to 2" in missing.stderr, missing.stderr
    failed = client.run("tasks", "why", "mapped", mapped, "shell", "--map-index", "2")
    assert "shell[2]" in failed and "failed" in failed
    shown = client.run("dags", "show", "mapped")
    assert "double ×" in shown and "mapped over numbers" in shown, shown
    assert "each ×" in client.run("dags", "show", "mapped", "-o", "mermaid")


def test_one_instance_is_cleared_by_its_index(ready: Standalone, mapped: str) -> None:
    client = ready.client
    args = ["tasks", "clear", "mapped", "--run-id", mapped, "-t", "^double$", "--map-index", "1"]
    would = client.json(*args, "--dry-run")
    assert [(row["task_id"], row["map_index"]) for row in would] == [("double", 1)]
    assert instances(client, "mapped", mapped)["double[1]"]["try_number"] == 1, "a dry run changes nothing"
    client.run(*args, "-y")

    def again() -> bool:
        row = instances(client, "mapped", mapped)["double[1]"]
        return row["try_number"] == 2 and row["state"] == "success"

    eventually("the second try of double[1]", again)
    assert instances(client, "mapped", mapped)["double[0]"]["try_number"] == 1
    finished_runs(client, "mapped", 1)


def test_mapping_over_no_list_fails_the_task_that_pushes(ready: Standalone) -> None:
    run_id = ready.client.trigger("not_a_list")
    assert ready.client.finish("not_a_list", run_id) == "failed"
    assert states(ready.client, "not_a_list", run_id) == {"push": "failed", "over": "upstream_failed"}
    assert "unmappable" in ready.client.run("tasks", "logs", "not_a_list", run_id, "push").lower()


def test_mapping_over_too_much_fails_with_the_limit(ready: Standalone) -> None:
    run_id = ready.client.trigger("too_long")
    assert ready.client.finish("too_long", run_id) == "failed"
    assert states(ready.client, "too_long", run_id)["push"] == "failed"
    said = ready.client.run("tasks", "logs", "too_long", run_id, "push") + ready.client.why("too_long", run_id, "push")
    assert "max_map_length" in said and "8" in said, said


def test_an_unknown_trigger_rule_is_an_import_error(ready: Standalone) -> None:
    error = eventually("the import error", lambda: ready.client.import_errors().get("unknown_rule.py"))
    assert "all_sucess" in str(error)


def test_a_native_task_is_mapped_without_python(ready: Standalone) -> None:
    run_id = ready.client.trigger("native_mapped")
    assert ready.client.finish("native_mapped", run_id) == "success"
    assert xcoms(ready.client, "native_mapped", run_id, "say") == ["one", "two"]
