"""What the tutorials' long delays end in. Tradewind is stopped and started again with its clock moved on, as if the machine
had been off for so long; the due times themselves were checked before."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from world import TODAY, Run, World


@pytest.fixture(scope="module")
def missing_file(world: World) -> Run:
    return world.trigger("wait_for_file", "-l", "2026-01-05")


@pytest.fixture(scope="module")
def missing_bucket(world: World) -> Run:
    """A run of s3_pytorch_k8s_fixed that cannot read its bucket, once the first is over."""
    world.settle(lambda: world.run("s3_pytorch_k8s_fixed").finish())
    s3 = world.aws.client("s3")
    for key in ("cat.png", "dog.png"):
        s3.delete_object(Bucket="mybucket", Key=key)
    s3.delete_bucket(Bucket="mybucket")
    return world.trigger("s3_pytorch_k8s_fixed")


@pytest.fixture(scope="module")
def missing_csv(world: World) -> Run:
    """A run of ml_retraining_basic without its data, once the others are over."""
    world.settle(lambda: world.run("ml_retraining_basic").finish())
    os.rename("/data/transactions.csv", "/data/kept.csv")
    return world.trigger("ml_retraining_basic")


def test_000_ml_retraining_basic_without_the_csv(world: World, missing_csv: Run) -> None:
    row = missing_csv.retries("extract_data", tries=1, after=timedelta(minutes=5))
    assert row["max_tries"] == 2 and "/data/transactions.csv" in row["note"]
    assert not world.mailbox.about("ml_retraining_basic"), "a mail for a retry, though email_on_retry is False"


def test_003_wait_for_file_that_is_missing(missing_file: Run) -> None:
    row = missing_file.waits("wait_for_file", "up_for_reschedule")
    assert row["reschedules"] >= 1 and missing_file.states()["run_etl"] not in ("success", "failed")


def test_002_s3_pytorch_k8s_fixed_without_the_bucket(missing_bucket: Run) -> None:
    row = missing_bucket.retries("read_images_from_s3", tries=1, after=timedelta(hours=1))
    assert "NoSuchBucket" in row["note"]


@pytest.fixture(scope="module")
def after_11_minutes(world: World, missing_csv: Run, missing_file: Run, missing_bucket: Run) -> World:
    missing_csv.waits("extract_data", "up_for_retry")
    missing_file.waits("wait_for_file", "up_for_reschedule")
    missing_bucket.waits("read_images_from_s3", "up_for_retry")
    world.run("weather_data_pipeline").waits("load_weather", "up_for_retry")
    world.client.run("dags", "unpause", "etl_status_checker")
    Run(world.client, "etl_status_checker", f"scheduled__{TODAY}T00:00:00+00:00").ends()
    world.later(timedelta(minutes=11), TRADEWIND__WORKER__QUEUES="default,finance_priority")
    return world


def test_001_retries_fixed_second_try(after_11_minutes: World) -> None:
    run = after_11_minutes.run("retries_fixed").ends()
    assert run.tasks()["fragile_task"]["try_number"] == 2


def test_001_queue_served(after_11_minutes: World) -> None:
    assert after_11_minutes.before("finance_queue").ends().xcom("process_finance_data") == "processed"


def test_001_long_running_external_sensor(after_11_minutes: World) -> None:
    run = after_11_minutes.run("long_running_external_sensor")
    run.all_succeeded("trigger_etl_job", "check_etl_status", "process_etl_results")
    assert run.xcom("process_etl_results") == "results"


def test_001_titanic_fixed_with_a_poor_model_fails(after_11_minutes: World) -> None:
    run = after_11_minutes.before("titanic_ml_pipeline_fixed").ends("failed")
    states = run.states()
    assert (states["evaluate_model"], states["deploy_model"]) == ("failed", "upstream_failed")
    assert run.tasks()["evaluate_model"]["try_number"] == 2


def test_001_weather_pipeline_second_try(after_11_minutes: World) -> None:
    after_11_minutes.run("weather_data_pipeline").retries("load_weather", tries=2, after=timedelta(minutes=5))


def test_000_ml_retraining_basic_second_try(after_11_minutes: World, missing_csv: Run) -> None:
    assert after_11_minutes
    missing_csv.retries("extract_data", tries=2, after=timedelta(minutes=5))


def test_003_every_5_minutes_goes_on(after_11_minutes: World) -> None:
    rows = after_11_minutes.client.json("dags", "list-runs", "every_5_minutes")
    dates = [row["logical_date"][:16] for row in rows]
    assert dates[0] >= "2026-03-29T22:30" and len(dates) == len(set(dates)) >= 2


def test_003_weekly_london_backfill_is_held_for_review(after_11_minutes: World) -> None:
    world = after_11_minutes
    weekly = Path("/models/weekly")
    before = (weekly / "production.json").read_text()
    dates = ["--from-date", "2026-03-29T22:30:00+00:00", "--to-date", "2026-03-29T22:30:00+00:00"]
    world.client.run("backfill", "create", "weekly_london_retrain", *dates)
    world.client.run("dags", "unpause", "weekly_london_retrain")
    (row,) = [row for row in world.client.json("dags", "list-runs", "weekly_london_retrain") if row["run_type"] == "backfill"]
    run = Run(world.client, "weekly_london_retrain", row["run_id"]).ends()
    states = run.states()
    assert (states["promote"], states["hold_for_review"], states["keep_current"], states["done"]) == (
        "skipped", "success", "skipped", "success"
    )  # fmt: skip
    review = json.loads((weekly / "2026-W13/review.json").read_text())
    assert review["newer"] is True and review["new"] > review["old"] == json.loads(before)["accuracy"]
    assert (weekly / "production.json").read_text() == before


@pytest.fixture(scope="module")
def after_22_minutes(after_11_minutes: World, missing_csv: Run) -> World:
    world = after_11_minutes
    world.run("weather_data_pipeline").retries("load_weather", tries=2, after=timedelta(minutes=5))
    missing_csv.retries("extract_data", tries=2, after=timedelta(minutes=5))
    world.later(timedelta(minutes=11))
    return world


def test_000_ml_retraining_basic_fails_with_a_mail(after_22_minutes: World, missing_csv: Run) -> None:
    run = missing_csv.ends("failed")
    states = run.states()
    assert states.pop("extract_data") == "failed" and set(states.values()) == {"upstream_failed"} and len(states) == 5
    assert run.tasks()["extract_data"]["try_number"] == 3
    (mail,) = after_22_minutes.mailbox.about("ml_retraining_basic")
    assert mail.recipients == ["ml-alerts@company.com"]
    assert "extract_data" in mail.subject and "/data/transactions.csv" in mail.text()


@pytest.fixture(scope="module")
def after_33_minutes(after_22_minutes: World) -> World:
    world = after_22_minutes
    world.run("weather_data_pipeline").retries("load_weather", tries=3, after=timedelta(minutes=5))
    world.later(timedelta(minutes=11))
    return world


def test_001_weather_pipeline_fails_after_three_retries(after_33_minutes: World) -> None:
    run = after_33_minutes.run("weather_data_pipeline").ends("failed")
    row = run.tasks()["load_weather"]
    assert (row["state"], row["try_number"]) == ("failed", 4)
    assert after_33_minutes.query("weather", "SELECT count(*) FROM weather_data") == [(3,)]


@pytest.fixture(scope="module")
def after_70_minutes(after_33_minutes: World) -> World:
    world = after_33_minutes
    s3 = world.aws.client("s3")
    s3.create_bucket(Bucket="mybucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="mybucket", Key="bird.png", Body=b"an image")
    world.later(timedelta(minutes=37))
    return world


def test_000_performance_sensor_with_a_good_metric_fails_after_an_hour(world: World) -> None:
    run = Run(world.hurried.client, "performance_sensor", "good").ends("failed")
    states = run.states()
    assert states.pop("check_performance") == "failed" and set(states.values()) == {"upstream_failed"}
    assert "AirflowSensorTimeout" in run.log("check_performance"), run.log("check_performance")
    # At once, then every 300 seconds of 3600.
    assert run.log("check_performance").count("No retraining needed.") in (12, 13)


def test_003_wait_for_file_fails_after_an_hour(after_70_minutes: World, missing_file: Run) -> None:
    missing_file.ends("failed")
    assert missing_file.states() == {"wait_for_file": "failed", "run_etl": "upstream_failed", "fail_and_alert": "failed"}
    rows = missing_file.tasks()
    assert "AirflowSensorTimeout" in rows["wait_for_file"]["note"], rows["wait_for_file"]["note"]
    assert rows["fail_and_alert"]["note"].startswith("AirflowException: no file for 2026-01-05 within an hour")


def test_002_s3_pytorch_k8s_fixed_second_try(after_70_minutes: World, missing_bucket: Run) -> None:
    run = missing_bucket.ends()
    assert run.tasks()["read_images_from_s3"]["try_number"] == 2
    assert run.xcom("preprocess_images", "images") == ["bird.png"]
