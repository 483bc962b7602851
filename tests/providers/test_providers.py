"""What the operators, hooks, sensors, triggers, transfers and notifiers of published providers did under Tradewind."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import Any

import pytest
import table
from conftest import World, service
from harness import eventually
from servers import USER

# --- SQL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dag_id", "hook"),
    [("sql_postgres", "PostgresHook"), ("sql_mysql", "MySqlHook"), ("sql_sqlite", "SqliteHook")],
)
def test_sql(world: World, dag_id: str, hook: str) -> None:
    run = world.run(dag_id)
    run.expect(check_fails="failed", empty="skipped")
    rows = run.xcom("select")
    assert rows[:2] == [["bananas", 20], ["cherries", 30]]
    assert run.xcom("with_hook") == {"first": [dag_id, 10], "sum": 150, "hook": hook}
    assert "Test failed" in run.log("check_fails")


def test_generic_transfer(world: World) -> None:
    run = world.run("sql_transfer")
    run.expect()
    # Over pages, which triggers have read.
    assert run.xcom("count") == [[25, "city 9"]]


# --- HTTP, mail, Slack ----------------------------------------------------------------------------------------------


def test_http(world: World) -> None:
    run = world.run("http")
    run.expect(refused="failed")
    posted = run.xcom("post")
    assert (posted["method"], json.loads(posted["body"])) == ("POST", {"day": run.run_id})
    assert [request["password"] for request in world.web.at("/echo/http")] == [world.secrets["web"]]
    assert run.xcom("deferred") == {"who": "deferred"}
    assert run.xcom("pages") == [1, 2, 3]
    assert run.xcom("with_hook") == {"method": "PUT", "user": USER}
    assert len(world.web.at("/ready/sensor")) == 3
    assert len(world.web.at("/available/deferred")) == 3
    assert [json.loads(request["body"]) for request in world.web.at("/notify/task")] == [{"task": "post"}]
    # The run failed, for one of its tasks did: nothing is to be told about its success.
    assert world.web.at("/notify/dag") == []
    assert "500" in run.log("refused")


def test_mail(world: World) -> None:
    run = world.run("mail")
    run.expect(notifier="failed")
    mails = world.mail.subjects()
    to, report = mails["Report of mail"]
    assert to == ["ann@example.com", "bob@example.com", "carl@example.com"]
    assert report["From"] == "tradewind@example.com"
    assert "<b>operator says hello</b>" in body(report)
    to, failure = mails["notifier failed"]
    assert (to, body(failure).strip()) == (["dora@example.com"], "In mail: no luck")
    assert mails["From the hook"][0] == ["eve@example.com"]
    assert set(mails) <= {"Report of mail", "notifier failed", "From the hook", SLA_MISS}
    assert len([message for _, message in world.mail.messages if message["Subject"] != SLA_MISS]) == 3


SLA_MISS = "[airflow] SLA miss on DAG=late"


def test_missed_slas_are_mailed(world: World) -> None:
    """Those of the runs before came when everything ran at once: the tasks may have been over when they were looked at."""
    before = len(world.mail.messages)
    client = world.systems["main"].client
    client.run("backfill", "create", "late", "--from-date", "2025-02-01", "--to-date", "2025-02-01")
    eventually("the mail", lambda: len(world.mail.messages) > before, 60)
    to, miss = world.mail.messages[-1]
    assert miss["Subject"] == SLA_MISS
    assert to == ["fay@example.com", "gil@example.com"]
    assert "slow on 20" in body(miss) and "in_time" not in body(miss)


def body(message: Any) -> str:
    return message.get_body(("html", "plain")).get_content()


def test_slack(world: World) -> None:
    run = world.run("slack")
    run.expect(fails="failed")
    hooks = [json.loads(request["body"]) for request in world.web.at(f"/services/{world.secrets['slack_hook']}")]
    texts = {hook["text"]: hook for hook in hooks}
    assert set(texts) == {"hello from webhook", "answer 42", "fails: no luck", "slack failed"}
    assert texts["hello from webhook"]["blocks"][0]["text"]["text"] == "*slack*"
    posts = [message_of(request) for request in world.web.at("/api/chat.postMessage")]
    assert {post["text"] for post in posts} == {"posted by api", "fails is down"}
    assert {request["token"] for request in world.web.at("/api/chat.postMessage")} == {world.secrets["slack_api"]}


def message_of(request: dict[str, Any]) -> dict[str, Any]:
    from urllib.parse import parse_qsl

    return json.loads(request["body"]) if request["body"].startswith("{") else dict(parse_qsl(request["body"]))


# --- Amazon ---------------------------------------------------------------------------------------------------------


def read(world: World, bucket: str, key: str) -> str:
    return world.boto("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def test_s3(world: World) -> None:
    run = world.run("amazon_s3")
    run.expect()
    assert read(world, "harbour", f"in/{run.run_id}.txt") == "a,1\nb,2"
    assert read(world, "harbour", "out/transformed.txt") == "a,1\nb,2"
    assert sorted(run.xcom("names")) == ["out/copy.txt", "out/transformed.txt"]
    assert run.xcom("with_hook") == {"read": "from the hook", "exists": False}
    keys = [found["Key"] for found in world.boto("s3").list_objects_v2(Bucket="harbour", Prefix="out/")["Contents"]]
    assert keys == ["out/transformed.txt"]


def test_messages(world: World) -> None:
    run = world.run("amazon_messages")
    run.expect()
    [received] = run.xcom("receive", "messages")
    assert received["Body"] == "order of amazon_messages"
    made = run.xcom("queues")
    client = world.boto("sqs")
    [note] = client.receive_message(QueueUrl=made["notes"])["Messages"]
    assert note["Body"] == "publish is done"
    [news] = client.receive_message(QueueUrl=made["topic"])["Messages"]
    assert json.loads(news["Body"])["Message"] == "it is 20xx"
    # The deferred sensor took the message.
    assert "Messages" not in client.receive_message(QueueUrl=made["deferred"])


def test_lambda(world: World) -> None:
    run = world.run("amazon_lambda")
    run.expect()
    assert world.boto("lambda").get_function(FunctionName="echo")["Configuration"]["Handler"] == "main.handler"
    assert run.xcom("function").endswith(":function:echo")


def test_transfers(world: World) -> None:
    run = world.run("amazon_transfers")
    run.expect()
    rows = "1,pears\n2,plums\n"
    assert read(world, "quay", "rows.csv") == rows
    assert read(world, "quay", "by_sftp.csv") == rows
    assert read(world, "quay", "by_ftp.csv") == rows
    assert (world.ssh.root / "from_s3.csv").read_text() == rows
    assert (world.ftp.root / "from_s3.csv").read_text() == rows
    assert json.loads(read(world, "quay", "http.json"))["path"] == "/echo/s3"
    trees = list(csv.DictReader(io.StringIO(read(world, "quay", "trees.csv"))))
    assert trees == [{"id": "1", "name": "pears"}, {"id": "2", "name": "plums"}]
    assert query("MYSQL", "SELECT name FROM trees ORDER BY id") == [("pears",), ("plums",)]


def query(name: str, sql: str) -> list[tuple]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(service(name, "mysql+mysqldb" if name == "MYSQL" else "postgresql+psycopg2"))
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sqlalchemy.text(sql))]


# --- files ----------------------------------------------------------------------------------------------------------


def test_ssh(world: World) -> None:
    run = world.run("files_ssh")
    run.expect(skips="skipped", fails="failed")
    log = run.log("command")
    assert "out of files_ssh" in log
    assert "blue" in log
    assert "wrong" in run.log("fails")
    assert run.xcom("with_hook") == "through a hook"
    assert (world.scratch / "job.txt").read_text() == "job done\n"


def test_sftp(world: World) -> None:
    run = world.run("files_sftp")
    run.expect()
    assert (world.ssh.root / "inbox/new/put.txt").read_text() == "by sftp"
    assert (world.scratch / "from_sftp.txt").read_text() == "by sftp"
    assert run.xcom("with_hook") == ["put.txt"]


def test_ftp(world: World) -> None:
    run = world.run("files_ftp")
    run.expect()
    assert (world.ftp.root / "put.txt").read_text() == "by ftp"
    assert (world.scratch / "from_ftp.txt").read_text() == "by ftp"
    assert "put.txt" in run.xcom("with_hook")


def test_object_storage(world: World) -> None:
    run = world.run("files_storage")
    run.expect()
    assert run.xcom("local") == {"read": "local", "names": ["a.txt"]}
    assert run.xcom("read") == {"text": "remote", "size": 6, "key": "b.txt", "conn_id": "aws_default"}
    assert read(world, "dock", "copied.txt") == "local"
    assert (world.scratch / "storage/back.txt").read_text() == "local"


# --- triggers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dag_id", "task_id"),
    [
        ("amazon_messages", "receive_deferred"),
        ("amazon_s3", "deferred"),
        ("files_sftp", "deferred"),
        ("files_ssh", "job"),
        ("http", "deferred"),
        ("http", "deferred_sensor"),
        ("redis", "wait"),
        ("secrets", "in_trigger"),
        ("sql_transfer", "to_sqlite"),
        ("standard", "deferred"),
    ],
)
def test_deferred_tasks_ran_in_parts(world: World, dag_id: str, task_id: str) -> None:
    """A listener hears of each part: before the trigger, and after it."""
    assert world.run(dag_id).states[task_id] == "success"
    events = [note["event"] for note in world.notes(dag_id) if note["task"] == task_id]
    assert events.count("running") >= 2, events
    assert events.count("success") == 1


# --- the rest -------------------------------------------------------------------------------------------------------


def test_redis(world: World) -> None:
    run = world.run("redis")
    run.expect(hear="failed")
    assert run.xcom("with_hook") == "a value"
    assert run.xcom("wait") == "publish speaks"
    assert "b'publish speaks'" in run.log("hear")
    assert "Cannot serialize object of type <class 'bytes'>" in run.log("hear")


def test_standard(world: World) -> None:
    run = world.run("standard")
    run.expect()
    assert run.xcom("bash") == "me"
    assert run.xcom("external")["name"] == "external"
    assert run.xcom("virtualenv") == {"name": "virtualenv", "modules": False}
    assert run.xcom("decorated") == "decorated"


def test_kubernetes(world: World) -> None:
    run = world.run("kubernetes")
    run.expect(pod="skipped", job="skipped")
    specs = run.xcom("specs")
    pod = specs["pod"]
    [container] = pod["spec"]["containers"]
    assert container["image"] == "perl:5.34"
    assert container["args"] == ["-e", "print 'kubernetes'"]
    assert {"name": "DAG", "value": "kubernetes"} in container["env"]
    assert container["resources"]["requests"] == {"cpu": "100m"}
    assert pod["metadata"]["namespace"] == "jobs"
    assert pod["metadata"]["name"].startswith("pi-kubernetes")
    labels = pod["metadata"]["labels"]
    assert (labels["team"], labels["dag_id"], labels["task_id"]) == ("airflow", "kubernetes", "specs")
    assert specs["job"]["spec"]["backoffLimit"] == 2
    assert specs["job"]["spec"]["template"]["spec"]["containers"][0]["image"] == "perl:5.34"


#: Template fields as they must have been rendered, of operators whose services cannot be had.
RENDERED: dict[str, dict[str, dict[str, Any]]] = {
    "google": {
        "bigquery": {"configuration": {"query": {"query": "SELECT 'google'", "useLegacySql": False}}},
        "gcs": {"bucket_name": "google-bucket"},
        "to_gcs": {"src": "/etc/hostname", "dst": "names/google"},
    },
    "others": {
        "snowflake": {"sql": "SELECT 'others'"},
        "snowflake_sql": {"sql": "SELECT 'others'"},
        "databricks": {"json": {"notebook_task": {"notebook_path": "/others"}, "existing_cluster_id": "1"}},
        "databricks_sql": {"sql": "SELECT 'others'"},
        "dbt": {"trigger_reason": "by others"},
        "docker": {"image": "python:3", "command": "echo others", "environment": {"DAG": "others"}},
        "mongo": {"collection": "others", "query": {"name": "mongo"}},
        "spark": {"application": "/jobs/others.py"},
    },
}


#: Why they failed, where it is not for want of a connection.
REASONS = {
    "docker": "Failed to establish connection to any given Docker hosts",
    "spark": "No such file or directory: 'spark-submit'",
}


@pytest.mark.parametrize("dag_id", sorted(RENDERED))
def test_rendered_where_no_service_can_be_had(world: World, dag_id: str) -> None:
    run = world.run(dag_id)
    assert run.states == {task: "failed" for task in RENDERED[dag_id]}
    for task, fields in RENDERED[dag_id].items():
        rendered = run.rendered(task)
        assert {name: rendered[name] for name in fields} == fields, task
        assert REASONS.get(task, "isn't defined") in run.log(task), f"{task} failed for another reason:\n{run.log(task)[-3000:]}"


#: Modules that need a package or provider which is not among requirements.in, by the name that is missing.
OPTIONAL = re.compile(
    r"duckdb|apache\.hive|\bimap|exasol|salesforce|microsoft|common[.-]messaging|apache-beam|plyvel|presto|trino|cassandra"
    r"|facebook|oracle|common-ai|vertica"
)


def test_every_module_imports(world: World) -> None:
    run = world.run("imports")
    run.expect()
    found = {task: run.xcom(task) for task in run.states}
    wrong = {
        module: error
        for result in found.values()
        for module, error in result["failed"].items()
        if not (OPTIONAL.search(error) and re.match("ModuleNotFoundError|AirflowOptionalProviderFeature", error))
    }
    assert wrong == {}
    assert found["google"]["modules"] > 150
    assert found["amazon"]["modules"] > 150


def test_the_page_says_what_was_run(world: World) -> None:
    """docs/providers.md holds what the runs of this very test have shown, at the pinned versions."""
    text = (table.HERE / "requirements.txt").read_text()
    assert all(f"{table.PREFIX}{name}=={pin}" in text for name, pin in table.pinned().items())
    assert set(table.AGAINST) | set(table.BESIDES) <= set(table.pinned())
    new = table.page(table.rows(world))
    if os.environ.get("TRADEWIND_WRITE_DOCS"):
        table.PAGE.write_text(new)
    assert table.PAGE.read_text() == new, "write it anew: TRADEWIND_WRITE_DOCS=1 tests/providers/run.sh"
