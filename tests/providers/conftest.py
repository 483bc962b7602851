"""Starts everything once: the servers, three Tradewinds, every DAG. The tests look at what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE), str(HERE / "dags")]

from harness import Client, Standalone, eventually  # noqa: E402
from servers import USER, Ftp, Mail, Ssh, Web, aws_server, ftp_server, mail_server, ssh_server, web_server  # noqa: E402

#: Where buckets need no location.
REGION = "us-east-1"

#: How long all DAGs together may take, on a machine that does other things, too.
PATIENCE = float(os.environ.get("TRADEWIND_TEST_PROVIDERS_PATIENCE", "600"))
#: Some providers take seconds to import, and much longer where the machine is busy; nothing here is about lost leases.
PATIENT = {
    "TRADEWIND__DAGS__PARSE_TIMEOUT_SECS": "300",
    "TRADEWIND__SCHEDULER__LEADER_LEASE_SECS": "60",
    "TRADEWIND__SCHEDULER__TASK_LEASE_SECS": "120",
}


def secret(name: str) -> str:
    """A password that nothing else contains."""
    return f"{name}-pw-{uuid.uuid4().hex}"


@dataclass
class World:
    """What the tests look at."""

    folder: Path
    web: Web
    mail: Mail
    ssh: Ssh
    ftp: Ftp
    aws: str
    secrets: dict[str, str]
    scratch: Path
    systems: dict[str, Standalone] = field(default_factory=dict)
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def boto(self, service: str) -> Any:
        return boto3.client(service, **aws_arguments(self.aws))

    def notes(self, dag_id: str) -> list[dict[str, str]]:
        """What the listener of the plugins folder heard about a DAG."""
        lines = (self.scratch / "notes.jsonl").read_text().splitlines()
        return [note for note in map(json.loads, lines) if note["dag"] == dag_id]

    def run(self, dag_id: str, system: str = "main") -> Run:
        return Run(self.systems[system].client, dag_id, self.runs[system, dag_id])


@dataclass
class Run:
    """A run that has ended."""

    client: Client
    dag_id: str
    run_id: str
    _tasks: list[dict[str, Any]] | None = None
    _xcoms: list[dict[str, Any]] | None = None

    @property
    def states(self) -> dict[str, str]:
        if self._tasks is None:
            self._tasks = self.client.json("tasks", "states-for-dag-run", self.dag_id, self.run_id)
        return {row["task_id"]: row["state"] for row in self._tasks}

    def xcoms(self) -> list[dict[str, Any]]:
        if self._xcoms is None:
            self._xcoms = self.client.json("xcom", "list", self.dag_id, self.run_id)
        return self._xcoms

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        return plain(next(row["value"] for row in self.xcoms() if (row["task_id"], row["key"]) == (task_id, key)))

    def log(self, task_id: str) -> str:
        return self.client.run("tasks", "logs", self.dag_id, self.run_id, task_id)

    def rendered(self, task_id: str) -> dict[str, Any]:
        return self.client.json("tasks", "render", self.dag_id, task_id, self.run_id)

    def expect(self, **others: str) -> None:
        """All tasks succeeded, but those named."""
        wrong = {task: state for task, state in self.states.items() if state != others.get(task, "success")}
        logs = "\n".join(f"--- {task}\n{self.log(task)[-3000:]}" for task in wrong)
        assert not wrong, f"{self.dag_id}: {wrong}\n{logs}"


def plain(value: Any) -> Any:
    """An XCom's value without what Airflow wraps tuples and the like in."""
    if isinstance(value, dict):
        if value.get("__classname__", "").startswith("builtins."):
            return plain(value["__data__"])
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def aws_arguments(address: str) -> dict[str, str]:
    return {
        "endpoint_url": address,
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


def worker_env(**more: str | dict[str, Any]) -> dict[str, str]:
    """What tasks see in their environment, as options of the worker."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in more.items()}
    return {f"TRADEWIND__WORKER__ENV__{name}": text for name, text in texts.items()}


# --- the systems ----------------------------------------------------------------------------------------------------


def fill_secrets_manager(world: World) -> None:
    client = world.boto("secretsmanager")
    for conn_id in ("everywhere", "only_backend"):
        value = {"conn_type": "http", "host": "by-backend", "login": "b", "password": world.secrets["backend"]}
        client.create_secret(Name=f"airflow/connections/{conn_id}", SecretString=json.dumps(value))
    for key in ("everywhere", "only_backend"):
        client.create_secret(Name=f"airflow/variables/{key}", SecretString="by-backend")


def main_system(world: World) -> Standalone:
    """All providers, a plugins folder, OpenLineage, and AWS Secrets Manager for a few names."""
    plugins = world.folder / "plugins"
    shutil.copytree(HERE / "plugins", plugins)
    fill_secrets_manager(world)
    pattern = "^(everywhere|only_backend)$"
    uri = f"postgres://env-user:{world.secrets['env_uri']}@by-env-uri:5433/things?sslmode=require"
    as_json = {
        "conn_type": "mysql",
        "host": "by-env-json",
        "login": "env-user",
        "password": world.secrets["env_json"],
        "port": 3307,
        "schema": "things",
        "extra": {"charset": "utf8"},
    }
    env = worker_env(
        AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins),
        HOUSE_NOTES=str(world.scratch / "notes.jsonl"),
        AIRFLOW__OPENLINEAGE__TRANSPORT={
            "type": "http",
            "url": f"http://127.0.0.1:{world.web.port}",
            "endpoint": "/lineage",
            "auth": {"type": "api_key", "apiKey": world.secrets["lineage"]},
        },
        AIRFLOW__OPENLINEAGE__NAMESPACE="tradewind",
        # What sends events gives up after 10 s by itself: too soon on a busy machine.
        AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT="300",
        AIRFLOW__SECRETS__BACKEND="airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS={
            "connections_lookup_pattern": pattern,
            "variables_lookup_pattern": pattern,
            **aws_arguments(world.aws),
        },
        AIRFLOW_CONN_ENV_URI=uri,
        AIRFLOW_CONN_IN_STORE_AND_ENV="http://by-env",
        AIRFLOW_CONN_EVERYWHERE="http://by-env",
        AIRFLOW_VAR_IN_STORE_AND_ENV="by-env",
        AIRFLOW_VAR_EVERYWHERE="by-env",
        AIRFLOW_VAR_ENV_API_KEY=world.secrets["env_variable"],
        AIRFLOW_VAR_SHAPE={"side": 4},
        # FTP, S3 and the like are on this machine: no proxy.
        NO_PROXY="*",
    )
    # As a worker of Airflow has them: variables of the process itself.
    process = {
        "AIRFLOW_CONN_ENV_JSON": json.dumps(as_json),
        "AIRFLOW_VAR_ONLY_ENV": "by-env",
        "AIRFLOW_VAR_EVERYWHERE": "by the process, but worker.env wins",
        "AIRFLOW__CORE__FERNET_KEY": "not for user code",
    }
    system = Standalone(world.folder / "main", {**env, **process, **PATIENT})
    shutil.copytree(HERE / "dags", system.dags, dirs_exist_ok=True)
    return system


def storage_system(world: World) -> Standalone:
    """XComs in S3, and AWS Systems Manager for secrets."""
    world.boto("s3").create_bucket(Bucket="xcoms")
    client = world.boto("ssm")
    client.put_parameter(Name="/airflow/connections/from_backend", Value="http://by-ssm", Type="SecureString")
    client.put_parameter(Name="/airflow/variables/from_backend", Value="by-ssm", Type="SecureString")
    env = worker_env(
        AIRFLOW__CORE__XCOM_BACKEND="airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH="s3://aws_default@xcoms/values",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD="1000",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION="gzip",
        AIRFLOW__SECRETS__BACKEND="airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS={
            "connections_prefix": "/airflow/connections",
            "variables_prefix": "/airflow/variables",
            "connections_lookup_pattern": "from_backend",
            "variables_lookup_pattern": "from_backend",
            **aws_arguments(world.aws),
        },
        NO_PROXY="*",
    )
    system = Standalone(world.folder / "storage", {**env, **PATIENT})
    shutil.copytree(HERE / "dags_more", system.dags, dirs_exist_ok=True)
    return system


def local_system(world: World) -> Standalone:
    """An XCom backend of the plugins folder's own, and files for secrets."""
    plugins = world.folder / "plugins_more"
    shutil.copytree(HERE / "plugins_more", plugins)
    (world.folder / "xcoms").mkdir()
    connections, variables = world.folder / "connections.json", world.folder / "variables.env"
    connections.write_text(json.dumps({"from_backend": {"conn_type": "http", "host": "by-file"}}))
    variables.write_text("from_backend=by-file\n")
    env = worker_env(
        AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins),
        AIRFLOW__CORE__XCOM_BACKEND="house_xcom.FileXCom",
        HOUSE_XCOMS=str(world.folder / "xcoms"),
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS={
            "connections_file_path": str(connections),
            "variables_file_path": str(variables),
        },
    )
    system = Standalone(world.folder / "local", {**env, **PATIENT})
    shutil.copytree(HERE / "dags_more", system.dags, dirs_exist_ok=True)
    return system


# --- what the store holds -------------------------------------------------------------------------------------------


def service(name: str, scheme: str) -> str:
    """The address of a service of scripts/test-services.sh, as a connection's URI."""
    variable = f"TRADEWIND_TEST_{name}_URL"
    assert variable in os.environ, f"{variable} is not set; run tests/providers/run.sh"
    return os.environ[variable].replace(os.environ[variable].partition(":")[0], scheme, 1)


def add_aws(client: Client, world: World) -> None:
    extra = {"endpoint_url": world.aws, "region_name": REGION}
    client.run(
        "connections", "add", "aws_default", "--conn-type", "aws", "--conn-login", "test", "--conn-password", "test",
        "--conn-extra", json.dumps(extra),
    )


def fill_store(client: Client, world: World) -> None:
    """Connections and variables of the main system."""
    add_aws(client, world)
    redis = urlsplit(os.environ["TRADEWIND_TEST_REDIS_URL"])
    web = f"http://{USER}:{world.secrets['web']}@127.0.0.1:{world.web.port}"
    uris = {
        "pg": service("POSTGRES", "postgres"),
        "maria": service("MYSQL", "mysql"),
        "maria_bulk": service("MYSQL", "mysql") + "?local_infile=true",
        "web": web,
        "ftp": f"ftp://{USER}:{world.ftp.password}@127.0.0.1:{world.ftp.port}",
    }
    for conn_id, uri in uris.items():
        client.run("connections", "add", conn_id, "--conn-uri", uri)
    local = {"host": "127.0.0.1", "login": USER}
    api = f"http://127.0.0.1:{world.web.port}"
    objects = {
        "lite": {"conn_type": "sqlite", "host": f"{world.scratch}/lite.db"},
        "redis": {"conn_type": "redis", "host": "127.0.0.1", "port": redis.port, "password": redis.password,
                  "extra": {"db": 0, "decode_responses": True}},
        "smtp_default": {**local, "conn_type": "smtp", "port": world.mail.port, "password": world.mail.password,
                         "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "tradewind@example.com"}},
        "sftp": {**local, "conn_type": "sftp", "port": world.ssh.port, "password": world.ssh.password,
                 "extra": {"no_host_key_check": True, "allow_host_key_change": True}},
        "ssh": {**local, "conn_type": "ssh", "port": world.ssh.port,
                "extra": {"private_key": world.ssh.private_key, "no_host_key_check": True}},
        "slack_hook": {"conn_type": "slackwebhook", "host": f"{api}/services", "password": world.secrets["slack_hook"]},
        "slack_api": {"conn_type": "slack", "password": world.secrets["slack_api"], "extra": {"base_url": f"{api}/api/"}},
        "fs": {"conn_type": "fs", "extra": {"path": str(world.scratch)}},
        "in_store": {"conn_type": "http", "host": "by-store", "login": "s", "password": world.secrets["store"],
                     "extra": {"api_key": world.secrets["store_extra"]}},
        "in_store_and_env": {"conn_type": "http", "host": "by-store"},
        "everywhere": {"conn_type": "http", "host": "by-store"},
    }
    for conn_id, value in objects.items():
        client.run("connections", "add", conn_id, "--conn-json", json.dumps(value))
    variables = {
        "scratch": str(world.scratch), "perl": "5.34", "in_store": "by-store", "in_store_and_env": "by-store",
        "everywhere": "by-store", "db_password": world.secrets["store_variable"],
    }
    for key, value in variables.items():
        client.run("variables", "set", key, value)


# --- all of it ------------------------------------------------------------------------------------------------------


def load(world: World, name: str) -> list[str]:
    """Waits until every file is read; answers the DAGs."""
    system = world.systems[name]
    files = {path.name for path in system.dags.glob("*.py") if "DAG(" in path.read_text()}

    def all_read() -> list[str] | None:
        rows = system.client.json("dags", "list")
        return [row["dag_id"] for row in rows] if {row["fileloc"] for row in rows} == files else None

    try:
        found = eventually(f"loading {sorted(files)}", all_read, PATIENCE)
    except AssertionError as error:
        raise AssertionError(f"{error}; import errors: {system.client.import_errors()}") from None
    assert isinstance(found, list)
    return found


def finish_all(world: World) -> None:
    """Waits for the end of every run. What became of it is for the tests."""
    deadline = time.monotonic() + PATIENCE
    open_runs = dict(world.runs)
    arrivals = late_arrivals(world)
    while open_runs:
        for (dag_id, task_id), arrive in list(arrivals.items()):
            run_id = world.runs["main", dag_id]
            if world.systems["main"].client.states(dag_id, run_id)[task_id] == "deferred":
                arrive()
                del arrivals[dag_id, task_id]
        assert time.monotonic() < deadline, f"these runs do not end: {unfinished(world, open_runs)}"
        for (name, dag_id), run_id in list(open_runs.items()):
            if world.systems[name].client.run_state(dag_id, run_id) in ("success", "failed"):
                del open_runs[name, dag_id]
        time.sleep(0.5)


def late_arrivals(world: World) -> dict[tuple[str, str], Callable[[], object]]:
    """What sensors wait for: it comes when they have been deferred."""

    def send() -> None:
        client = world.boto("sqs")
        client.send_message(QueueUrl=client.get_queue_url(QueueName="deferred")["QueueUrl"], MessageBody="late")

    return {
        ("amazon_s3", "deferred"): lambda: world.boto("s3").put_object(Bucket="harbour", Key="late/x.txt", Body=b"late"),
        ("amazon_messages", "receive_deferred"): send,
        ("standard", "deferred"): lambda: (world.scratch / "flag").touch(),
    }


def unfinished(world: World, runs: dict[tuple[str, str], str]) -> dict[str, dict[str, str]]:
    return {f"{name} {dag_id}": world.systems[name].client.states(dag_id, run) for (name, dag_id), run in runs.items()}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything, after all runs have ended."""
    folder = tmp_path_factory.mktemp("providers")
    scratch = folder / "scratch"
    scratch.mkdir()
    names = ("store", "store_extra", "store_variable", "env_uri", "env_json", "env_variable", "backend", "web",
             "slack_hook", "slack_api", "lineage")
    passwords = {name: secret(name) for name in names}
    with contextlib.ExitStack() as stack:
        world = World(
            folder=folder,
            web=stack.enter_context(web_server()),
            mail=stack.enter_context(mail_server(secret("mail"))),
            ssh=stack.enter_context(ssh_server(folder / "ssh", secret("ssh"))),
            ftp=stack.enter_context(ftp_server(folder / "ftp", secret("ftp"))),
            aws=stack.enter_context(aws_server()),
            secrets=passwords,
            scratch=scratch,
        )
        begin = time.monotonic()
        world.systems = {"main": main_system(world), "storage": storage_system(world), "local": local_system(world)}
        for name, system in world.systems.items():
            system.start()
            stack.callback(system.stop)
            if name == "main":
                fill_store(system.client, world)
            else:
                add_aws(system.client, world)
                system.client.run("variables", "set", "from_store", "by-store")
        for name, system in world.systems.items():
            for dag_id in load(world, name):
                world.runs[name, dag_id] = system.client.trigger(dag_id)
        world.seconds["loaded"] = time.monotonic() - begin
        finish_all(world)
        world.seconds["finished"] = time.monotonic() - begin
        yield world
