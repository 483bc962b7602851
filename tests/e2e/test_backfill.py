"""Schedules and operations: backfills, catchup, timetable classes, params, clearing, marking, and tests in one process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from e2e_tools import HEAD, finished_runs, instances, runs, states, wait_for
from harness import Client, CliError, Standalone, binary, clean_env, eventually, standalone

PLUGIN = """
import pendulum
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class EveryTenDays(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = restriction.earliest if last_automated_data_interval is None else last_automated_data_interval.end
        end = start.add(days=10)
        if restriction.latest is not None and start > restriction.latest:
            return None
        return DagRunInfo.interval(start, end)


class Raises(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        raise RuntimeError("this timetable raises")


class Plugin(AirflowPlugin):
    name = "e2e"
    timetables = [EveryTenDays, Raises]
"""

DAGS = """
from airflow.sdk import Param
from e2e_plugin import EveryTenDays, Raises

PAST = {{"start_date": datetime(2026, 1, 1), "end_date": datetime(2026, 1, 20)}}


@task
def day():
    context = get_current_context()
    return [context["ds"], context["dag_run"].conf]


@task
def fails_once(ds=None):
    marker = HERE / f"failed-{{ds}}"
    if ds == "2026-01-02" and not marker.exists():
        marker.touch()
        raise AirflowFailException("the first time")


with DAG("daily", schedule="@daily", **PAST):
    day()

with DAG("once_bad", schedule="@daily", **PAST):
    fails_once()

with DAG("slow", schedule="@daily", **PAST):
    BashOperator(task_id="wait", bash_command="until [ -e {folder}/slow ]; do sleep 0.05; done")

with DAG("on_the_past", schedule="@daily", **PAST):
    EmptyOperator(task_id="a", depends_on_past=True)

with DAG("by_hand", schedule=None):
    day()

with DAG("made_up", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True):
    EmptyOperator(task_id="a")

with DAG("every_ten", schedule=EveryTenDays(), start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 25), catchup=True):
    EmptyOperator(task_id="a")

with DAG("raising_timetable", schedule=Raises(), start_date=datetime(2026, 1, 1), catchup=True):
    EmptyOperator(task_id="a")

with DAG("with_params", schedule=None, params={{"n": Param(1, type="integer", maximum=3, description="How many.")}}):

    @task
    def give():
        return get_current_context()["params"]["n"]

    give()

with DAG("steps", schedule="@daily", **PAST):
    EmptyOperator(task_id="one") >> EmptyOperator(task_id="two") >> EmptyOperator(task_id="three")
"""

IN_MINIATURE = """
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator

import miniature_trigger


def tell(context):
    print("the DAG called back")
    (HERE / "called_back").touch()


class Defers(BaseOperator):
    def execute(self, context):
        self.defer(trigger=miniature_trigger.Soon(), method_name="resume")

    def resume(self, context, event):
        print("resumed with", event)


with DAG("miniature", schedule=None, on_success_callback=tell):

    @task
    def numbers():
        return [1, 2]

    @task(outlets=[Asset("x-miniature://out")])
    def show(number):
        print("number", number)

    show.expand(number=numbers()) >> Defers(task_id="waits") >> ApprovalOperator(task_id="ask", subject="Go on?")
"""

SOON = """
import asyncio

from airflow.triggers.base import BaseTrigger, TriggerEvent


class Soon(BaseTrigger):
    def serialize(self):
        return "miniature_trigger.Soon", {}

    async def run(self):
        await asyncio.sleep(0.2)
        yield TriggerEvent("soon is over")
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("backfill")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "e2e_plugin.py").write_text(PLUGIN)
    guests = json.dumps({"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins)})
    with standalone(folder, TRADEWIND__WORKER__ENV=guests) as system:
        system.write("schedules.py", (HEAD + DAGS).format(folder=folder))
        system.start()
        system.client.wait_for_dag("steps")
        for dag_id in ("daily", "once_bad", "slow", "on_the_past", "made_up", "every_ten", "raising_timetable", "steps"):
            system.client.run("dags", "unpause", dag_id)
        yield system


def span(first: int, last: int) -> list[str]:
    return ["--from-date", f"2026-01-{first:02}", "--to-date", f"2026-01-{last:02}"]


def plan(client: Client, *args: str) -> list[tuple[str, str]]:
    rows = client.json("backfill", "create", *args, "--dry-run")
    return [(row["logical_date"][:10], row["action"]) for row in rows]


def test_a_backfill_makes_the_runs_that_its_dry_run_names(ready: Standalone) -> None:
    client = ready.client
    before = runs(client, "daily")
    assert plan(client, "daily", *span(1, 3)) == [(f"2026-01-0{day}", "new run") for day in (1, 2, 3)]
    assert runs(client, "daily") == before, "a dry run changes nothing"
    created = client.json(
        "backfill", "create", "--dag-id", "daily", *span(1, 3), "--dag-run-conf", '{"why": "late"}', "--follow"
    )
    assert created["completed_at"] and [row["state"] for row in created["dag_runs"]] == ["success"] * 3
    for row, number in zip(created["dag_runs"], (1, 2, 3), strict=True):
        assert client.xcom("daily", row["run_id"], "day") == [f"2026-01-0{number}", {"why": "late"}]
    shown = client.run("backfill", "show", str(created["id"]))
    assert "2026-01-02" in shown and "success" in shown
    assert created["id"] in [row["id"] for row in client.json("backfill", "list", "daily")]

    # What has a run is left alone, unless it is to be run again.
    assert plan(client, "daily", *span(2, 4)) == [
        ("2026-01-02", "left alone"), ("2026-01-03", "left alone"), ("2026-01-04", "new run"),
    ]
    again = plan(client, "daily", *span(2, 3), "--reprocess-behavior", "completed", "--run-backwards")
    assert again == [("2026-01-03", "run again"), ("2026-01-02", "run again")]


def test_failed_dates_are_run_again(ready: Standalone) -> None:
    client = ready.client
    first = client.fails("backfill", "create", "once_bad", *span(1, 3), "--max-active-runs", "1", "--follow", "-o", "json")
    assert first.code == 1, "a run failed"
    assert [row["state"] for row in json.loads(first.stdout)["dag_runs"]] == ["success", "failed", "success"]
    behavior = ["--reprocess-behavior", "failed"]
    assert plan(client, "once_bad", *span(1, 3), *behavior)[1] == ("2026-01-02", "run again")
    second = client.json("backfill", "create", "once_bad", *span(1, 3), *behavior, "--follow")
    assert [row["skipped"] for row in second["dag_runs"]] == ["already exists", None, "already exists"]
    assert set(finished_runs(client, "once_bad", 3).values()) == {"success"}


def test_a_backfill_keeps_its_limit_pauses_and_is_cancelled(ready: Standalone) -> None:
    client = ready.client
    no = str(client.json("backfill", "create", "slow", *span(1, 4), "--max-active-runs", "2")["id"])
    eventually("two that run", lambda: sorted(runs(client, "slow").values()) == ["queued"] * 2 + ["running"] * 2)
    queued = next(run for run, state in runs(client, "slow").items() if state == "queued")
    assert f"backfill {no}" in client.why("slow", queued, "wait")

    overlap = client.fails("backfill", "create", "slow", *span(3, 6))
    assert overlap.code == 5 and no in overlap.stderr, overlap.stderr

    client.run("backfill", "pause", no)
    assert "is paused" in client.why("slow", queued, "wait")
    client.run("backfill", "unpause", no)
    client.run("backfill", "cancel", no)
    eventually("the end of the queued runs", lambda: "queued" not in runs(client, "slow").values())
    (ready.folder / "slow").touch()
    assert sorted(finished_runs(client, "slow", 4).values()) == ["failed"] * 2 + ["success"] * 2
    assert client.json("backfill", "show", no)["completed_at"]
    assert client.fails("backfill", "pause", no).code == 5
    assert client.fails("backfill", "show", "99999").code == 3


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["by_hand", *span(1, 3)], 2, "no periodic schedule"),
        (["on_the_past", *span(1, 3), "--run-backwards", "--reprocess-behavior", "failed"], 2, "depend on the past"),
        (["daly", *span(1, 3)], 3, 'did you mean "daily"'),
        (["daily", "--from-date", "2099-01-01", "--to-date", "2099-01-02"], 2, "future"),
    ],
)
def test_what_cannot_be_backfilled_says_why(ready: Standalone, args: list[str], code: int, part: str) -> None:
    refused = ready.client.fails("backfill", "create", *args)
    assert refused.code == code and part in refused.stderr, refused.stderr


def test_schedules_make_up_for_the_past_and_say_what_is_next(ready: Standalone) -> None:
    client = ready.client
    assert set(finished_runs(client, "made_up", 3).values()) == {"success"}
    dates = [row["logical_date"][:10] for row in client.json("dags", "list-runs", "made_up")]
    assert sorted(dates) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert client.json("dags", "next-execution", "made_up") == [], "it has ended"


def test_a_timetable_class_is_asked_for_each_run(ready: Standalone) -> None:
    client = ready.client
    finished_runs(client, "every_ten", 3)
    rows = client.json("dags", "list-runs", "every_ten")
    found = sorted((row["data_interval_start"][:10], row["data_interval_end"][:10]) for row in rows)
    assert found == [("2026-01-01", "2026-01-11"), ("2026-01-11", "2026-01-21"), ("2026-01-21", "2026-01-31")]


def test_a_timetable_that_raises_says_so_and_harms_nobody(ready: Standalone) -> None:
    client = ready.client
    said = eventually(
        "the error of the timetable",
        lambda: "this timetable raises" in f"{client.import_errors()}{client.run('dags', 'details', 'raising_timetable')}",
    )
    assert said
    run_id = client.trigger("raising_timetable")
    assert client.finish("raising_timetable", run_id) == "success", "by hand it still runs"


def test_a_param_that_breaks_its_schema_is_refused_with_all_params(ready: Standalone) -> None:
    client = ready.client
    refused = client.fails("dags", "trigger", "with_params", "-c", '{"n": 4}')
    assert refused.code == 2
    for part in ('"n"', "4", "maximum", "default 1", "How many."):
        assert part in refused.stderr, refused.stderr
    run_id = client.trigger("with_params", "-c", '{"n": 3}')
    assert client.finish("with_params", run_id) == "success"
    assert client.xcom("with_params", run_id, "give") == 3


def test_clearing_and_marking_reach_other_tasks_and_runs(ready: Standalone) -> None:
    client = ready.client
    client.json("backfill", "create", "steps", *span(1, 3), "--follow")
    middle = next(row["run_id"] for row in client.json("dags", "list-runs", "steps") if row["logical_date"][8:10] == "02")

    def would(*args: str) -> list[str]:
        rows = client.json("tasks", "clear", "steps", "--run-id", middle, *args, "--dry-run")
        return sorted(row["task_id"] for row in rows)

    assert would("-t", "^two$") == ["two"]
    assert would("-t", "^two$", "-d") == ["three", "two"]
    assert would("-t", "^two$", "-u", "-d") == ["one", "three", "two"]
    assert would("-t", "^two$", "--past") == ["two"] * 2
    assert would("-t", "^two$", "--past", "--future") == ["two"] * 3
    assert would("-f") == [] and would("-r") == []
    assert len(client.json("dags", "clear", "steps", "-s", "2026-01-01", "-e", "2026-01-31", "--dry-run")) == 9

    client.run("tasks", "mark", "steps", middle, "one", "failed", "--downstream", "--past")
    found = states(client, "steps", middle)
    # As Airflow: what follows a failed task is decided anew.
    assert found == {"one": "failed", "two": "upstream_failed", "three": "upstream_failed"}, found
    client.run("dags", "clear", "steps", "--run-id", middle, "--only-failed", "-y")
    assert client.finish("steps", middle) == "success"


def test_a_running_task_is_cleared_by_ending_it_first(ready: Standalone) -> None:
    client = ready.client
    (ready.folder / "slow").unlink(missing_ok=True)
    run_id = client.trigger("slow", "-l", "2026-01-15")
    wait_for(client, "slow", run_id, "wait", "running")
    client.run("tasks", "clear", "slow", "--run-id", run_id, "--only-running", "-y")

    def again() -> bool:
        row = instances(client, "slow", run_id)["wait"]
        return row["state"] == "running" and row["try_number"] == 2

    eventually("the second try", again)
    (ready.folder / "slow").touch()
    assert client.finish("slow", run_id) == "success"


def alone(ready: Standalone, *args: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder of its own: no scheduler, only a DAG folder."""
    dags = ready.folder / "alone"
    dags.mkdir(exist_ok=True)
    (dags / "miniature.py").write_text(HEAD.format(folder=ready.folder) + IN_MINIATURE)
    (dags / "miniature_trigger.py").write_text(SOON)
    keep = {name: value for name, value in ready.env.items() if name.startswith("TRADEWIND__PYTHON")}
    return subprocess.run(
        [binary(), *args, "--dags-folder", str(dags)],
        env=clean_env(**keep), cwd=ready.folder, capture_output=True, text=True, timeout=120, check=False,
    )


def test_a_whole_dag_runs_in_one_process(ready: Standalone) -> None:
    done = alone(ready, "dags", "test", "miniature", "2026-01-31", "--answer", "ask=Approve")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("show[0] | ", "number 2", "waits | ", "resumed with soon is over", "success"):
        assert part in done.stdout, done.stdout
    assert "callback dag_success success" in done.stderr, done.stderr
    assert (ready.folder / "called_back").exists()
    unanswered = alone(ready, "dags", "test", "miniature")
    assert unanswered.returncode == 2 and "--answer ask=OPTION" in unanswered.stderr, unanswered.stderr


def test_one_task_runs_in_one_process(ready: Standalone) -> None:
    done = alone(ready, "tasks", "test", "miniature", "waits")
    assert done.returncode == 0 and "resumed with soon is over" in done.stdout, done.stdout + done.stderr
    assert "number" not in done.stdout, "nothing but the task runs"
    mapped = alone(ready, "tasks", "test", "miniature", "show")
    assert mapped.returncode == 2 and "numbers" in mapped.stderr, mapped.stderr


def test_typing_slips_are_answered_with_the_right_names(ready: Standalone) -> None:
    error: CliError = ready.client.fails("backfill", "creat", "daily")
    assert error.code == 2 and "'create'" in error.stderr
