"""Connections and variables from every source, plugins, lineage, XCom backends; and that secrets stay secret."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import World

#: The host of each connection: a secrets backend comes first, then the environment, then the store.
CONNECTIONS = {
    "in_store": "by-store",
    "in_store_and_env": "by-env",
    "everywhere": "by-backend",
    "env_uri": "by-env-uri",
    "env_json": "by-env-json",
    "only_backend": "by-backend",
}
VARIABLES = {
    "in_store": "by-store",
    "in_store_and_env": "by-env",
    "everywhere": "by-backend",
    "only_env": "by-env",
    "only_backend": "by-backend",
}


def test_precedence_in_tasks(world: World) -> None:
    run = world.run("secrets")
    run.expect()
    assert run.xcom("look") == {"connections": CONNECTIONS, "variables": VARIABLES, "hidden": None, "missing": "the default"}


def test_precedence_in_triggers(world: World) -> None:
    found = world.run("secrets").xcom("in_trigger")
    assert found == {"connections": CONNECTIONS, "variables": VARIABLES}


def test_a_file_reads_them_when_it_is_loaded(world: World) -> None:
    assert world.systems["main"].client.json("dags", "details", "secrets")["description"] == (
        "by-backend by-env by-store by-env-json by-store"
    )


def test_precedence_in_templates(world: World) -> None:
    assert world.run("secrets").xcom("in_template") == "by-backend by-env-json by-store by-backend 4 fallback"


def test_connections_of_the_environment_have_all_fields(world: World) -> None:
    assert world.run("secrets").xcom("details") == {
        "uri": ["postgres", "env-user", 5433, "things", {"sslmode": "require"}],
        "json": ["mysql", "env-user", 3307, "things", {"charset": "utf8"}],
    }


def test_tasks_list_the_keys_of_the_store(world: World) -> None:
    assert world.run("secrets").xcom("keys") == ["in_store", "in_store_and_env"]


def test_tasks_write_variables(world: World) -> None:
    assert world.run("secrets").xcom("write") == "by a task, then gone"


def test_passwords_are_masked_in_logs(world: World) -> None:
    run = world.run("secrets")
    log = run.log("tell")
    assert "the end" in log, "the task did not get to its end"
    for name in ("in_store", "env_uri", "env_json", "only_backend"):
        assert f"password {name} ***" in log, name
    everything = log + run.log("rendered") + json.dumps(run.rendered("rendered"))
    for name in ("store", "store_extra", "store_variable", "env_uri", "env_json", "env_variable", "backend"):
        assert world.secrets[name] not in everything, name
    assert "echo ***" in run.rendered("rendered")["bash_command"]


def test_no_secret_lies_in_clear_in_any_file(world: World) -> None:
    """The database, its journal, task logs, caches: all that Tradewind keeps."""
    home = world.systems["main"].home
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert any(path.name == "tradewind.db" for path in files)
    # What is no secret is found, so the search does find things.
    assert any(b"by-store" in data for data in files.values())
    # These are given through the environment or the servers; the rest is in the store.
    kept = {"mail": world.mail.password, "ssh": world.ssh.password, "ftp": world.ftp.password, **world.secrets}
    leaks = [(name, str(path)) for name, value in kept.items() for path, data in files.items() if value.encode() in data]
    key_line = world.ssh.private_key.splitlines()[3].encode()
    leaks += [("ssh key", str(path)) for path, data in files.items() if key_line in data]
    assert leaks == []


# --- plugins and lineage --------------------------------------------------------------------------------------------


def test_plugins_folder(world: World) -> None:
    run = world.run("plugins")
    run.expect(fails="failed")
    assert run.xcom("macro") == "PLUGINS!"
    notes = world.notes("plugins")
    heard = [(note["task"], note["event"]) for note in notes]
    assert sorted(heard) == [("fails", "failed"), ("fails", "running"), ("macro", "running"), ("macro", "success")]
    [failed] = [note for note in notes if note["event"] == "failed"]
    assert failed["error"] == "no luck"


def lineage(world: World) -> dict[str, list[dict]]:
    events = defaultdict(list)
    for request in world.web.at("/lineage"):
        assert request["token"] == world.secrets["lineage"]
        event = json.loads(request["body"])
        events[event["job"]["name"]].append(event)
    return events


def test_lineage_of_every_task(world: World) -> None:
    """Each task instance that ran sends when it begins and how it ends."""
    events = lineage(world)
    wrong = {}
    for (system, dag_id), _ in world.runs.items():
        if system != "main":
            continue
        for task, state in world.run(dag_id).states.items():
            if state not in ("success", "failed"):
                continue
            kinds = [event["eventType"] for event in events[f"{dag_id}.{task}"]]
            if set(kinds) != {"START", "COMPLETE" if state == "success" else "FAIL"}:
                wrong[f"{dag_id}.{task}"] = (state, kinds)
    assert wrong == {}


def test_lineage_says_what_was_read_and_written(world: World) -> None:
    events = lineage(world)
    [insert] = [event for event in events["sql_postgres.create"] if event["eventType"] == "COMPLETE"]
    assert insert["job"]["namespace"] == "tradewind"
    assert [output["name"] for output in insert["outputs"]] == ["postgres.public.fruit"]
    assert insert["job"]["facets"]["sql"]["query"].startswith("DROP TABLE")
    assert {event["run"]["runId"] for event in events["sql_postgres.create"]} == {insert["run"]["runId"]}
    [fails] = [event for event in events["plugins.fails"] if event["eventType"] == "FAIL"]
    assert "no luck" in fails["run"]["facets"]["errorMessage"]["message"]


# --- XCom backends and other secrets backends -----------------------------------------------------------------------


@pytest.mark.parametrize(("system", "source"), [("storage", "by-ssm"), ("local", "by-file")])
def test_xcom_backend(world: World, system: str, source: str) -> None:
    run = world.run("xcoms", system)
    run.expect()
    assert run.xcom("look") is not None
    looked = value_of(world, run.xcom("look"))
    assert looked == {"connection": source, "variable": source, "store": "by-store"}
    assert value_of(world, run.xcom("use")) == "500 row 499 1 5000"
    assert value_of(world, run.xcom("gather")) == ["row 0 ", "row 1 ", "row 2 "]
    assert value_of(world, run.xcom("in_template")) == "500 1"


def value_of(world: World, stored: object) -> object:
    """The value that an XCom stands for."""
    if isinstance(stored, str) and stored.startswith("file-xcom://"):
        return json.loads(Path(stored.removeprefix("file-xcom://")).read_text())["value"]
    return stored


def test_large_xcoms_are_in_object_storage(world: World) -> None:
    run = world.run("xcoms", "storage")
    stored = run.xcom("big")
    assert stored.startswith("s3://"), stored
    assert stored.endswith(".gz")
    key = stored.partition("xcoms/")[2]
    rows = json.loads(gzip.decompress(world.boto("s3").get_object(Bucket="xcoms", Key=key)["Body"].read()))
    assert len(rows) == 500
    assert run.xcom("small") == {"a": 1}
    assert run.xcom("several", "one").startswith("s3://")


def test_xcom_backend_of_the_plugins_folder(world: World) -> None:
    stored = world.run("xcoms", "local").xcom("small")
    assert stored.startswith("file-xcom://")
    content = json.loads(Path(stored.removeprefix("file-xcom://")).read_text())
    assert content == {"value": {"a": 1}, "task": "small"}
