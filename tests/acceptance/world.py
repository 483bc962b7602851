"""The system under test with all that the seed DAGs reach, on the machine that inside.sh makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import data
from expected import DAGS
from kubernetes_stand_in import Kubernetes
from stand_ins import Aws, Mailbox, Prometheus, Slack

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from harness import CliError, Client, Standalone, eventually  # noqa: E402

SEEDS = Path(__file__).parent / "seed_dags"
PROGRAMS = Path(__file__).parent / "programs"
#: The system believes that it starts now: a Sunday evening, ten minutes before 23:30 in London, on the day that summer time
#: began there. Every date below follows from this one.
START = datetime(2026, 3, 29, 22, 20, tzinfo=timezone.utc)
TODAY = START.date()
#: Great expectations needs an environment of its own.
OTHER_ENVIRONMENT = ("000_great_expectations.py", "000_great_expectations_fixed.py")


def environment(name: str) -> Path:
    value = os.environ.get(f"TRADEWIND_ACCEPTANCE_{name}")
    assert value, f"TRADEWIND_ACCEPTANCE_{name} is not set; run tests/acceptance/run.sh"
    return Path(value)


class Run:
    """A run of a seed DAG, as the CLI shows it."""

    def __init__(self, client: Client, dag_id: str, run_id: str) -> None:
        self.client, self.dag_id, self.run_id = client, dag_id, run_id

    def finish(self, patience: float = 120) -> str:
        return self.client.finish(self.dag_id, self.run_id, patience)

    def ends(self, state: str = "success", patience: float = 120) -> Run:
        """Waits for the end, which must be this."""
        found = self.finish(patience)
        assert found == state, f"{self.dag_id} {self.run_id} is {found}, not {state}: {self.why_not()}"
        return self

    def why_not(self) -> str:
        """What a reader of a failed test wants to know."""
        rows = self.tasks()
        logs = [f"--- {name}\n{self.log(name)}" for name, row in rows.items() if row["state"] in ("failed", "up_for_retry")]
        return "\n".join([str({name: (row["state"], row["note"]) for name, row in rows.items()}), *logs])

    def tasks(self) -> dict[str, dict]:
        return self.client.tasks(self.dag_id, self.run_id)

    def states(self) -> dict[str, str]:
        return self.client.states(self.dag_id, self.run_id)

    def all_succeeded(self, *task_ids: str) -> Run:
        self.ends("success")
        assert self.states() == dict.fromkeys(task_ids, "success")
        return self

    def waits(self, task_id: str, *states: str, patience: float = 120) -> dict:
        try:
            return self.client.wait_for_task(self.dag_id, self.run_id, task_id, *states, patience=patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.why_not()}") from error

    def retries(self, task_id: str, *, tries: int, after: timedelta, at_most: timedelta | None = None) -> dict:
        """After these tries the task is due again after this time (or up to `at_most`)."""

        def over() -> dict | None:
            row = self.tasks()[task_id]
            return row if row["try_number"] > tries or (row["try_number"], row["state"]) == (tries, "up_for_retry") else None

        row = eventually(f"{self.dag_id}.{task_id} up for retry after try {tries}", over, 120)
        if row["try_number"] == tries:
            delay = instant(row["next_at"]) - instant(row["end_date"])
            assert after <= delay <= (at_most or after), f"{self.dag_id}.{task_id} is due again after {delay}"
            return row
        # A slow machine: it is too late to see it wait, but not to see how long it did at least.
        old_tries = self.client.json("tasks", "tries", self.dag_id, self.run_id, task_id)
        last = next(old for old in old_tries if old["try_number"] == tries)
        delay = instant(row["start_date"]) - instant(last["end_date"])
        assert delay >= after, f"{self.dag_id}.{task_id} was tried again after {delay}"
        return {**row, "note": last["note"]}

    def xcoms(self) -> dict[tuple[str, str], object]:
        rows = self.client.json("xcom", "list", self.dag_id, self.run_id, "--limit", "0")
        return {(row["task_id"], row["key"]): row["value"] for row in rows}

    def xcom(self, task_id: str, key: str = "return_value"):
        return self.xcoms()[task_id, key]

    def log(self, task_id: str, try_number: int | None = None) -> str:
        which = ["--try", str(try_number)] if try_number else []
        return self.client.run("tasks", "logs", self.dag_id, self.run_id, task_id, *which)

    def clear(self) -> Run:
        self.client.run("dags", "clear", self.dag_id, "--run-id", self.run_id, "--yes")
        return self

    def in_order(self, *task_ids: str) -> None:
        """Each of the tasks started after the one before had ended."""
        rows = self.tasks()
        for before, after in zip(task_ids, task_ids[1:], strict=False):
            assert instant(rows[before]["end_date"]) <= instant(rows[after]["start_date"]), f"{after} began before {before} was over"


def there(run: Run | Exception) -> Run:
    assert not isinstance(run, Exception), f"the run was not made: {run}"
    return run


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class World:
    """Servers, stand-ins, data and Tradewind."""

    def __init__(self, work: Path) -> None:
        self.work = work
        #: The runs before there is any data, and the first runs with it; in place of a run, why it could not be made.
        self.bare: dict[str, Run | Exception] = {}
        self.first: dict[str, Run | Exception] = {}
        self.offset = int(START.timestamp() - time.time())
        self.shell = Path("/tmp/bin")
        self.processes: list[subprocess.Popen] = []
        self.slack, self.mailbox, self.aws, self.kubernetes = Slack(), Mailbox(), Aws(), Kubernetes()
        self.prometheus: Prometheus | None = None

    def now(self) -> datetime:
        """The time that the system believes it is."""
        return datetime.fromtimestamp(time.time() + self.offset, timezone.utc)

    # --- starting ---------------------------------------------------------------------------------------------------

    def start(self) -> World:
        self.programs()
        self.system = self.tradewind("main", environment("DAGS"), [f for f in seed_files() if f.name not in OTHER_ENVIRONMENT])
        self.expectations = self.tradewind("ge", environment("GE"), [SEEDS / name for name in OTHER_ENVIRONMENT])
        # The hour of a sensor in poke mode cannot be left out by a restart: here, tasks' hours have 30 seconds.
        self.hurried = self.tradewind("hurried", environment("DAGS"), [SEEDS / "000_performance_sensor.py"])
        self.hurried.env["TRADEWIND__WORKER__ENV__CLOCK_SPEED"] = "120"
        self.start_mlflow()
        self.system.start()
        self.expectations.start()
        self.hurried.start()
        self.client = self.system.client
        self.start_databases()
        self.connections()
        return self

    def programs(self) -> None:
        """`python`, `dbt` and `spark-submit` as the tasks' PATH has them."""
        tools, self.spark = environment("TOOLS"), environment("TOOLS") / "lib/python3.11/site-packages/pyspark"
        self.shell.mkdir()
        links = {"dbt": tools / "bin/dbt", "spark-submit": self.spark / "bin/spark-submit"}
        for name, target in links.items():
            (self.shell / name).symlink_to(target)
        (self.work / "home").mkdir()

    def clock_env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(environment("CLOCK")), "CLOCK_OFFSET_SECS": str(self.offset)}

    def task_env(self) -> dict[str, str]:
        debs = environment("DEBS")
        lib = debs / "usr/lib/x86_64-linux-gnu"
        libraries = [lib, debs / "usr/lib", debs / "lib/x86_64-linux-gnu", lib / "blas", lib / "lapack"]
        return {
            **self.clock_env(),
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "SPARK_HOME": str(self.spark),
            "PYSPARK_PYTHON": str(environment("TOOLS") / "bin/python"),
            "AIRFLOW_CONN_MY_SERVICE_DEFAULT": "myservice://wizard:wand@service.internal:4242",
            # A library that is not there until the system is told where it is: torch, of Debian's packages.
            "PYTHONPATH": str(self.torch()),
        }

    def torch(self) -> Path:
        """A folder with nothing but PyTorch in it."""
        folder = self.work / "torch"
        if not folder.exists():
            folder.mkdir()
            (folder / "torch").symlink_to(environment("DEBS") / "usr/lib/python3/dist-packages/torch")
        return folder

    def settings(self, interpreter: Path) -> dict[str, str]:
        env = {
            "PATH": f"{interpreter}/bin:{self.shell}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.work / "home"),
            "TRADEWIND__PYTHON__INTERPRETER": f"{interpreter}/bin/python",
            "TRADEWIND__WORKER__QUEUES": "default",
            "TRADEWIND__WORKER__SLOTS": "12",
            "TRADEWIND__DAGS__PARSE_TIMEOUT_SECS": "120",
            # All runs begin at once, and on a busy machine a heartbeat may be late.
            "TRADEWIND__SCHEDULER__TASK_LEASE_SECS": "60",
            # 002_s3_pytorch_k8s: one task leaves a file in the working folder for the next.
            "TRADEWIND__WORKER__TASK_DIR": str(self.work / "tasks"),
        }
        return {**env, **self.clock()}

    def clock(self) -> dict[str, str]:
        tasks = {f"TRADEWIND__WORKER__ENV__{name}": value for name, value in self.task_env().items()}
        return {**self.clock_env(), **tasks}

    def tradewind(self, name: str, interpreter: Path, files: list[Path]) -> Standalone:
        folder = self.work / name
        system = Standalone(folder, self.settings(interpreter))
        for file in files:
            shutil.copy(file, system.dags / file.name)
        return system

    def start_databases(self) -> None:
        import psycopg2

        done = subprocess.run(
            [ROOT / "scripts/test-services.sh", "start", self.work / "services", "--with", "mysql"],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        urls = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.split("\n") if "=" in line)
        self.postgres_url, self.mysql_url = urls["TRADEWIND_TEST_POSTGRES_URL"], urls["TRADEWIND_TEST_MYSQL_URL"]
        admin = psycopg2.connect(self.postgres_url)
        admin.autocommit = True
        admin.cursor().execute("CREATE DATABASE weather")
        admin.cursor().execute("CREATE DATABASE custom")
        admin.close()

    def query(self, database: str, sql: str) -> list[tuple]:
        import psycopg2

        with psycopg2.connect(self.postgres_url.rsplit("/", 1)[0] + f"/{database}") as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()

    def start_mlflow(self) -> None:
        """A real tracking server, which is both mlflow and mlflow-server."""
        folder = self.work / "mlflow"
        folder.mkdir()
        arguments = ["server", "--host", "127.0.0.1", "--port", "5000", "--workers", "1", "--allowed-hosts", "*"]
        stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
        with (folder / "server.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [environment("TOOLS") / "bin/mlflow", *arguments, *stores], stdout=log, stderr=log, cwd=folder,
                    # Its background jobs are seven processes more, and no part of tracking.
                    env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": f"{environment('TOOLS')}/bin:{os.environ['PATH']}"},
                )  # fmt: skip
            )

    def mlflow_is_up(self) -> None:
        def healthy() -> bool:
            try:
                return urllib.request.urlopen("http://mlflow:5000/health", timeout=2).status == 200
            except OSError:
                return False

        eventually("a healthy MLflow server", healthy, 240)

    def mlflow(self, path: str, **body: object) -> dict:
        """A call of MLflow's REST API."""
        request = urllib.request.Request(f"http://mlflow:5000/api/2.0/mlflow/{path}")
        request.add_header("Content-Type", "application/json")
        if body:
            request.data = json.dumps(body).encode()
        return json.load(urllib.request.urlopen(request, timeout=30))

    def connections(self) -> None:
        postgres = urlsplit(self.postgres_url)
        add = self.add_connection
        for conn_id, database in {"postgres_default": "weather", "postgres_custom": "custom"}.items():
            add(conn_id, type="postgres", host="127.0.0.1", port=postgres.port, login=postgres.username,
                password=postgres.password, schema=database)  # fmt: skip
        mysql = urlsplit(self.mysql_url)
        add("mysql_default", type="mysql", host="127.0.0.1", port=mysql.port, login=mysql.username, password=mysql.password,
            schema=mysql.path.strip("/"), extra={"client": "mysql-connector-python"})  # fmt: skip
        add("ml_database", type="postgres", host="ml.internal", port=5433, login="ml", password="s3cr3t-pa55", schema="features")
        add("smtp_default", type="smtp", host="127.0.0.1", port=self.mailbox.port,
            extra={"disable_ssl": True, "disable_tls": True, "from_email": "airflow@tradewind.test"})  # fmt: skip
        add("slack_webhook", type="slackwebhook", host=f"{self.slack.url}/services", password="T0/B0/webhook-token")
        add("aws_default", type="aws", login="testing", password="testing",
            extra={"endpoint_url": self.aws.url, "region_name": "us-west-2"})  # fmt: skip
        add("kubernetes_default", type="kubernetes", extra={"kube_config": self.kubernetes.kube_config(), "in_cluster": False})
        add("spark_default", type="spark", host="local[1]")
        add("fs_default", type="fs")

    def add_connection(self, conn_id: str, **parts: object) -> None:
        flags = []
        for name, value in parts.items():
            flags += [f"--conn-{name}", json.dumps(value) if isinstance(value, dict) else str(value)]
        self.client.run("connections", "add", conn_id, *flags)

    def has_read_all_files(self) -> None:
        """Waits until each file is either loaded or refused."""

        def done() -> bool:
            for system, there in ((self.system, True), (self.expectations, False)):
                loaded = {row["dag_id"] for row in system.client.json("dags", "list", "--limit", "0")}
                refused = system.client.import_errors()
                for name, dags in DAGS.items():
                    if (name not in OTHER_ENVIRONMENT) == there and name not in refused and not set(dags) <= loaded:
                        return False
            return True

        eventually("a first look at all files", done, 120)

    # --- runs -------------------------------------------------------------------------------------------------------

    def begin(self, dag_ids: Iterable[str], how: Callable[[str], Run]) -> dict[str, Run | Exception]:
        """Starts a run of each; one that cannot start fails its own test, not all."""
        begun: dict[str, Run | Exception] = {}
        for dag_id in dag_ids:
            try:
                begun[dag_id] = how(dag_id)
            except (CliError, AssertionError) as error:
                begun[dag_id] = error
        return begun

    def settle(self, wait: Callable[[], object]) -> None:
        """Waits for something on the way; what is wrong with it is told by the test that it belongs to."""
        try:
            wait()
        except AssertionError as error:
            print(f"on the way: {error}")

    def run(self, dag_id: str) -> Run:
        """The first run of a DAG that has what it needs."""
        return there(self.first[dag_id])

    def before(self, dag_id: str) -> Run:
        """The run of a DAG before there was what it needs."""
        return there(self.bare[dag_id])

    def trigger(self, dag_id: str, *args: str) -> Run:
        """Starts a run by hand."""
        client = self.expectations.client if dag_id.startswith("great_expectations") else self.client
        return Run(client, dag_id, client.trigger(dag_id, *args))

    def scheduled(self, dag_id: str) -> Run:
        """Switches a DAG on, and answers the run that its schedule makes at once."""
        self.client.run("dags", "unpause", dag_id)

        def made() -> str | None:
            rows = self.client.json("dags", "list-runs", dag_id)
            return next((row["run_id"] for row in rows if row["run_type"] == "scheduled"), None)

        return Run(self.client, dag_id, str(eventually(f"a scheduled run of {dag_id}", made)))

    def later(self, by: timedelta, **settings: str) -> None:
        """Stops Tradewind and starts it again as if this time had passed: a machine that was off for so long."""
        self.system.stop()
        self.offset += int(by.total_seconds())
        self.system.env.update({**self.clock(), **settings})
        self.system.start()

    # --- data -------------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """The data and the folders that the seeds ask for, and the names and programs they call."""
        data.transactions(Path("/data/transactions.csv"), self.now())
        data.titanic(Path("/opt/airflow/data/titanic.csv"), telling=True)
        data.wine(Path("/opt/airflow/data/wine-quality.csv"))
        data.training(Path("/tmp/training_data.csv"), 1500)
        Path("/shared/tmp").mkdir()
        for back in range(14):
            # The second week is foretold better.
            data.landing(Path("/landing"), TODAY - timedelta(days=back), accuracy=0.9 if back < 7 else 0.8)
        shutil.copytree(PROGRAMS / "dbt_project", "/path/to/dbt/project")
        shutil.copy(PROGRAMS / "spark_job.py", "/path/to/spark_job.py")
        for name, folder in {"train_ml_model.py": "/opt/spark", "train_neural_net.py": "/opt/ml"}.items():
            Path(folder).mkdir()
            shutil.copy(PROGRAMS / name, folder)
        s3 = self.aws.client("s3")
        for bucket in ("mybucket", "my-model-bucket"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for key in ("cat.png", "dog.png"):
            s3.put_object(Bucket="mybucket", Key=key, Body=b"an image")
        with open("/etc/hosts", "a") as hosts:
            hosts.write("127.0.0.1 prometheus\n")
        self.prometheus = Prometheus(9090)

    # --- the end ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        codes = [system.stop() for system in (self.system, self.expectations, self.hurried) if system.process]
        for process in self.processes:
            process.terminate()
        subprocess.run([ROOT / "scripts/test-services.sh", "stop", self.work / "services"], check=False)
        for server in (self.slack, self.mailbox, self.aws, self.kubernetes, self.prometheus):
            if server:
                server.stop()
        assert codes == [0] * len(codes), f"Tradewind ended with {codes}"


def seed_files() -> list[Path]:
    return sorted(SEEDS.glob("*.py"))


__all__ = ["SEEDS", "START", "TODAY", "CliError", "Run", "World", "date", "eventually", "instant", "seed_files"]
