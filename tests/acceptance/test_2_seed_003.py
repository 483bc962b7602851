"""Seed 003: the DAGs for pipeline orchestration and scheduling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from world import TODAY, World, instant

WEEKLY = Path("/models/weekly")
SENSORS = [f"wait_for_partitions.day_minus_{back}" for back in range(6, -1, -1)]


def test_003_nightly_features(bare: World) -> None:
    run = bare.run("nightly_features").ends("failed")
    assert run.states() == {"features": "failed"}
    log = run.log("features")
    assert f"python features.py --run-date {TODAY} --output s3://bucket/features/date={TODAY}" in log
    assert "exit code 2" in log, log


@pytest.mark.parametrize(
    ("dag_id", "last", "following"),
    [
        ("every_day_at_0215", "2026-03-29T02:15", ["2026-03-30T02:15", "2026-03-31T02:15"]),
        # Monday to Friday: today is a Sunday.
        ("weekdays_at_0130", "2026-03-27T01:30", ["2026-03-30T01:30", "2026-03-31T01:30"]),
        ("every_5_minutes", "2026-03-29T22:", ["2026-03-29T22:", "2026-03-29T22:"]),
    ],
)
def test_003_cron_schedules(bare: World, dag_id: str, last: str, following: list[str]) -> None:
    run = bare.run(dag_id).all_succeeded("run")
    assert run.run_id.startswith(f"scheduled__{last}")
    found = [row["run_after"] for row in bare.client.json("dags", "next-execution", dag_id, "-n", "2")]
    assert all(row.startswith(wanted) for row, wanted in zip(found, following, strict=True)), found
    if dag_id == "every_5_minutes":
        first, second = map(instant, found)
        assert (second - first).total_seconds() == 300 and first.minute % 5 == 0 and first.second == 0


@pytest.mark.parametrize("dag_id", ["daily_ml_pipeline", "ml_daily"])
def test_003_daily_pipelines(bare: World, dag_id: str) -> None:
    tasks = ["extract", "prepare_features", "train"]
    run = bare.run(dag_id).all_succeeded(*tasks)
    run.in_order(*tasks)
    assert run.run_id == f"scheduled__{TODAY}T02:15:00+00:00"
    for task in tasks:
        assert task in [line.split()[-1] for line in run.log(task).splitlines()], run.log(task)
    assert not [key for key in run.xcoms() if key[1] == "return_value"]


def test_003_wait_for_file(world: World) -> None:
    run = world.run("wait_for_file").ends()
    assert run.states() == {"wait_for_file": "success", "run_etl": "success", "fail_and_alert": "skipped"}
    assert run.run_id == f"scheduled__{TODAY}T01:00:00+00:00" and run.xcom("run_etl") == str(TODAY)
    assert f"processing /landing/{TODAY}/data.parquet" in run.log("run_etl")


def test_003_weekly_london(world: World) -> None:
    run = world.run("weekly_london_retrain").ends()
    # 23:30 in London is 23:30 UTC before the clocks change and 22:30 UTC after.
    assert instant(run.run_id.removeprefix("scheduled__")).isoformat() == "2026-03-22T23:30:00+00:00"
    states = run.states()
    assert {states.pop(name) for name in SENSORS} == {"success"}
    assert states == {
        "retrain": "success", "evaluate": "success", "decide": "success", "promote": "success",
        "hold_for_review": "skipped", "keep_current": "skipped", "done": "success",
    }  # fmt: skip
    model = json.loads((WEEKLY / "2026-W12/model.json").read_text())
    assert model["week"] == "2026-W12" and model["rows"] == 1400 and 0.75 < model["accuracy"] < 0.85
    assert json.loads((WEEKLY / "production.json").read_text()) == model
    assert run.xcom("evaluate") == {"new": model["accuracy"], "old": 0.0, "newer": True}


def test_003_weekly_london_next_run_is_in_summer_time(world: World) -> None:
    world.run("weekly_london_retrain").ends()
    following = [row["run_after"] for row in world.client.json("dags", "next-execution", "weekly_london_retrain", "-n", "2")]
    assert [instant(row).isoformat() for row in following] == ["2026-03-29T22:30:00+00:00", "2026-04-05T22:30:00+00:00"]


def test_003_weekly_london_same_week_again(world: World) -> None:
    run = world.run("weekly_london_retrain").ends()
    before = (WEEKLY / "production.json").read_text()
    run.clear().ends()
    states = run.states()
    assert (states["promote"], states["hold_for_review"], states["keep_current"], states["done"]) == (
        "skipped", "skipped", "success", "success"
    )  # fmt: skip
    assert (WEEKLY / "production.json").read_text() == before
    # The next run must not begin by itself: a test of later makes it by a backfill.
    world.client.run("dags", "pause", "weekly_london_retrain")
