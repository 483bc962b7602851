"""The table of docs/providers.md: from the pinned versions, and from what the runs did."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import World

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "providers.md"
BEGIN, END = "<!-- begin: made by tests/providers/table.py -->\n", "<!-- end -->\n"
PREFIX = "apache-airflow-providers-"

#: What stands on the other side, and what was run that is no operator. Checked by the tests, not by this file.
AGAINST = {
    "amazon": "moto's server: S3, SQS, SNS, Lambda, IAM, Secrets Manager, Systems Manager; with it s3fs",
    "common-io": "local files, S3 (moto)",
    "common-sql": "PostgreSQL, MariaDB, SQLite",
    "ftp": "pyftpdlib's server",
    "http": "a local HTTP server",
    "mysql": "MariaDB",
    "openlineage": "an HTTP server as the collector",
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "sftp": "asyncssh's server",
    "slack": "a local HTTP server in Slack's place",
    "smtp": "aiosmtpd's server, with a password",
    "sqlite": "SQLite",
    "ssh": "asyncssh's server and bash, with a key",
    "standard": "this machine",
}
BESIDES = {
    "amazon": "`S3Hook`, `SqsHook`, `SnsHook`, `SqsNotifier`, triggers of the deferred sensors, `SecretsManagerBackend`, "
    "`SystemsManagerParameterStoreBackend`, `s3://` paths",
    "cncf-kubernetes": "pod and job specifications as the operators build them (pods run in tests/acceptance)",
    "common-io": "`XComObjectStorageBackend`, `ObjectStoragePath` over `file://` and `s3://`",
    "common-sql": "`SQLExecuteQueryTrigger`, by a deferred `GenericTransfer`",
    "ftp": "`FTPHook`",
    "http": "`HttpHook`, `HttpNotifier`, triggers",
    "mysql": "`MySqlHook`, operators of common-sql",
    "openlineage": "its listener: START, COMPLETE and FAIL of every task instance, with SQL's inputs and outputs",
    "postgres": "`PostgresHook`, operators of common-sql",
    "redis": "`RedisHook`, `AwaitMessageTrigger`; `RedisPubSubSensor` fails as it does under Airflow: what it pushes holds bytes",
    "sftp": "`SFTPHook`, trigger",
    "slack": "`SlackWebhookNotifier`, `SlackNotifier`",
    "smtp": "`SmtpHook`, `SmtpNotifier`",
    "sqlite": "`SqliteHook`, operators of common-sql",
    "ssh": "`SSHHook`, trigger of the remote job",
}


def pinned() -> dict[str, str]:
    """The versions of requirements.txt for this interpreter, by the name without its prefix."""
    text = (HERE / "requirements.txt").read_text()
    names = sorted(set(re.findall(rf"^{PREFIX}([a-z-]+)==", text, re.M)))
    return {name: version(PREFIX + name) for name in names}


def operators(world: World) -> dict[str, dict[str, set[str]]]:
    """The operators whose task instances completed and those that only failed, by provider: as OpenLineage tells."""
    ended: dict[str, set[str]] = {"COMPLETE": set(), "FAIL": set()}
    for request in world.web.at("/lineage"):
        event: dict[str, Any] = json.loads(request["body"])
        if event["eventType"] in ended and (task := event["run"]["facets"].get("airflow", {}).get("task")):
            ended[event["eventType"]].add(task["operator_class_path"])
    found: dict[str, dict[str, set[str]]] = {}
    for path in ended["COMPLETE"] | ended["FAIL"]:
        if (module := re.match(r"airflow\.providers\.(.+)\.(?:operators|sensors|transfers|decorators)\.", path)) is None:
            continue
        parts = module[1].split(".")
        name = "-".join(parts[:2]) if parts[0] in ("apache", "cncf", "common", "dbt") else parts[0]
        how = "ran" if path in ended["COMPLETE"] else "failed"
        found.setdefault(name, {}).setdefault(how, set()).add(path.rpartition(".")[2])
    return found


def rows(world: World) -> str:
    """The table."""
    seen, imports = operators(world), world.run("imports")
    lines = [
        "| Provider | Version | Operators that ran to success | Against | Beside operators | Started and rendered only "
        "| Modules imported |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, pin in pinned().items():
        loaded = imports.xcom(name)
        good = loaded["modules"] - len(loaded["failed"])
        cells = [
            name,
            pin,
            names(seen.get(name, {}).get("ran", set())),
            AGAINST.get(name, ""),
            BESIDES.get(name, ""),
            names(seen.get(name, {}).get("failed", set()) - {"RedisPubSubSensor"}),
            f"{good} of {loaded['modules']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def names(classes: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(classes) if not name.startswith("_"))


def page(table: str) -> str:
    """The page with this table in it."""
    before, rest = PAGE.read_text().split(BEGIN)
    return before + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1]
