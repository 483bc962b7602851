"""The author's quick loop: `dags check`, `dags diff` and `dags test --watch`, with real Python files and a real guest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from author_files import EXPECTED, FILES, HEAD
from harness import ROOT, Client, Process, Standalone, clean_env, eventually, python

SCHEMA = Path(__file__).parent / "data/sarif-schema-2.1.0.json"

def author(folder: Path, **env: str) -> Client:
    """The CLI of somebody who writes DAGs, with no server anywhere."""
    defaults = {
        "TRADEWIND__HOME__DIR": str(folder / "no_home"),
        "TRADEWIND__PYTHON__INTERPRETER": str(python()),
        "TRADEWIND__PYTHON__GUEST_DIR": str(ROOT / "python"),
        "TRADEWIND__CLIENT__SCHEDULERS": "http://127.0.0.1:9",
        "TRADEWIND__DAGS__PARSE_TIMEOUT_SECS": "8",
    }
    return Client(clean_env(**{**defaults, **env}), folder)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).write_text(text)
    return folder


def place(finding: dict) -> tuple[str, str, int | None]:
    return finding["rule"], finding["file"].removeprefix("all/"), finding["line"]


@pytest.fixture(scope="module")
def spoiled(system: Standalone) -> dict:
    """One check of everything at once, compared with a running system."""
    write(system.folder / "all", FILES)
    system.client.run("connections", "add", "mine", "--conn-type", "sqlite", "--conn-host", "/tmp/x.db")
    system.client.env["TRADEWIND__DAGS__PARSE_TIMEOUT_SECS"] = "8"
    failed = system.client.fails("dags", "check", "all", "-o", "json")
    assert failed.code == 1, failed.stderr
    return json.loads(failed.stdout)


def test_every_problem_is_reported_at_once_with_its_place(spoiled: dict) -> None:
    assert {place(finding) for finding in spoiled["findings"]} == EXPECTED
    assert spoiled["summary"]["errors"] == 11, spoiled["summary"]
    assert spoiled["compared"]["with"] == "the scheduler"


def test_findings_say_what_and_how_to_mend_it(spoiled: dict) -> None:
    found = {place(finding)[:2]: finding for finding in spoiled["findings"]}
    cycle = found["dependency-cycle", "cycle.py"]
    assert cycle["drawing"] == "a -> b -> c\n^         |\n+---------+" and cycle["dag_id"] == "round"
    assert found["dependency-cycle", "cycle.yaml"]["drawing"].splitlines()[0] in ("left -> right", "right -> left")
    pool = found["unknown-pool", "uses.py"]
    assert 'did you mean "default_pool"' in pool["message"] and "tradewind pools set" in pool["mend"]
    assert (pool["dag_id"], pool["task_id"]) == ("uses", "pooled")
    assert '"warehouse"' in found["unknown-connection", "uses.py"]["message"]
    assert "install the package" in found["import-error", "missing.py"]["mend"]
    assert "exit code 3" in found["import-error", "crash.py"]["message"]
    backlog = int(re.search(r"makes (\d+) runs", found["catchup-backlog", "uses.py"]["message"])[1])
    assert backlog > 300
    old = [finding for finding in spoiled["findings"] if finding["file"] == "all/old.py"]
    assert [finding["mend"] for finding in old] == [
        "use airflow.providers.standard.operators.bash.BashOperator",
        "use DAG(schedule=)",
    ]
    assert "lines 5, 7" in found["duplicate-dag-id", "twice.py"]["message"]


def test_deprecated_names_are_part_of_the_import_report(system: Standalone) -> None:
    system.write("old.py", FILES["old.py"])
    client = system.client
    names = eventually("the names", lambda: client.json("dags", "list-import-errors", "--deprecations"))
    expected = [("airflow.operators.bash.BashOperator", 3), ("DAG(schedule_interval=)", 4)]
    assert [(name["old"], name["line"]) for name in names] == expected  # type: ignore[attr-defined]
    listing = client.run("dags", "list-import-errors")
    assert "Deprecated names" in listing and "DAG(schedule=)" in listing
    assert client.json("dags", "list-import-errors") == [], "they are no errors"
    assert any("is deprecated: use" in line for line in client.json("dags", "details", "old")["warnings"])
    local = client.json("dags", "list-import-errors", "--deprecations", "--local", str(system.dags))
    assert local == names


def test_the_next_five_runs_are_in_the_zone_of_the_dag(spoiled: dict) -> None:
    schedules = {schedule["dag_id"]: schedule for schedule in spoiled["schedules"]}
    runs = schedules["berlin"]["next_runs"]
    assert len(runs) == 5 and len(set(runs)) == 5
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT09:00:00\+0[12]:00", run) for run in runs), runs
    assert schedules["warns"]["next_runs"] == []


def test_custom_timetables_are_asked_for_their_next_runs(system: Standalone, spoiled: dict) -> None:
    schedules = {schedule["dag_id"]: schedule for schedule in spoiled["schedules"]}
    assert [run[:10] for run in schedules["years"]["next_runs"]] == [f"{year}-01-01" for year in range(2088, 2093)]
    assert schedules["raises"]["next_runs"] == [] and "raises" in schedules["raises"]["runs"]
    raises = next(finding for finding in spoiled["findings"] if finding["rule"] == "timetable-raises")
    assert "LookupError: no calendar" in raises["message"] and raises["dag_id"] == "raises"
    # The running system says the same, and shows the next one where it is scheduled.
    client = system.client

    def details(dag_id: str) -> dict:
        return client.json("dags", "details", dag_id)  # type: ignore[no-any-return]

    for name in ("own.py", "berlin.yaml"):
        system.write(name, FILES[name])
    client.wait_for_dag("years")
    client.wait_for_dag("berlin")
    runs = client.json("dags", "next-execution", "years", "--num-executions", "3")
    assert [run["run_after"][:10] for run in runs] == ["2088-01-01", "2089-01-01", "2090-01-01"]
    assert "no calendar" in client.fails("dags", "next-execution", "raises").stderr
    assert details("years")["next_run"] is None, "it is paused"
    client.run("dags", "unpause", "years")
    eventually("the next run", lambda: (details("years")["next_run"] or "").startswith("2088-01-01"))
    assert details("berlin")["next_run"] is None
    client.run("dags", "unpause", "berlin")
    assert details("berlin")["next_run"], "known at once"
    client.run("dags", "pause", "berlin")


def test_sarif_keeps_to_its_schema(tmp_path: Path) -> None:
    files = {f"some dir/{name}": FILES[name] for name in ("cycle.py", "cycle.yaml", "field.yaml", "missing.py")}
    write(tmp_path, files)
    failed = author(tmp_path).fails("dags", "check", "some dir", "-o", "sarif")
    log = json.loads(failed.stdout)
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(log)
    run = log["runs"][0]
    results = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: result for result in run["results"]}
    assert set(results) == {name.replace(" ", "%20") for name in files}
    result = results["some%20dir/field.yaml"]
    assert (result["ruleId"], result["level"]) == ("import-error", "error")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 5
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "import-error"
    assert failed.code == 1


def test_exit_codes_and_what_is_not_checked(tmp_path: Path) -> None:
    write(tmp_path, {"dags/clean.yaml": "dag_id: clean\ntasks:\n  - {id: a, operator: noop, pool: p}\n"})
    write(tmp_path, {"late/late.yaml": "dag_id: late\nschedule: '@daily'\ntasks:\n  - {id: a, operator: noop}\n"})
    client = author(tmp_path)
    clean = client.json("dags", "check", "dags")
    assert clean["findings"] == []
    # No server and no database: said, and no guess.
    assert clean["compared"]["not_checked"] == ["pools", "queues", "connections"]
    assert "127.0.0.1:9" in clean["compared"]["because"]
    assert "offline" in client.json("dags", "check", "--offline", "dags")["compared"]["because"]
    assert client.run("dags", "check", "dags", "late")
    assert client.fails("dags", "check", "--strict", "dags", "late").code == 1
    # A database without a scheduler: pools and connections, but no workers.
    client.env["TRADEWIND__HOME__DIR"] = str(tmp_path / "home")
    client.run("db", "migrate")
    known = client.json("dags", "check", "dags")
    assert [finding["rule"] for finding in known["findings"]] == ["unknown-pool"]
    assert known["compared"]["not_checked"] == ["queues"]


def test_wrong_paths_and_no_interpreter(tmp_path: Path) -> None:
    write(tmp_path, {"dags/a.yaml": "dag_id: a\ntasks: 3\n", "dags/b.py": HEAD + "DAG('b')\n", "notes.txt": "x", "empty.py": ""})
    client = author(tmp_path, TRADEWIND__PYTHON__INTERPRETER=str(tmp_path / "no_python"))
    missing = client.fails("dags", "check", "nowhere")
    assert missing.code == 2 and "nowhere" in missing.stderr
    wrong = client.fails("dags", "check", "notes.txt")
    assert wrong.code == 2 and ".yaml" in wrong.stderr
    found = json.loads(client.fails("dags", "check", "dags", "-o", "json").stdout)["findings"]
    assert {(finding["rule"], finding["file"]) for finding in found} == {
        ("import-error", "dags/a.yaml"),
        ("no-interpreter", "dags/b.py"),
    }
    assert any("python.interpreter" in (finding["mend"] or "") for finding in found)
    assert "no-dag" in client.run("dags", "check", "empty.py")


# --- diff -------------------------------------------------------------------------------------------------------------

OLD = HEAD + """from lib import rate
def load(x):
    return x * rate()
with DAG("etl", schedule="@daily", start_date=datetime(2026, 1, 1), params={"n": 1}):
    extract = BashOperator(task_id="extract", bash_command="echo one", retries=1)
    clean = BashOperator(task_id="clean", bash_command="clean it")
    gone = BashOperator(task_id="gone", bash_command="true")
    @task
    def work():
        return load(1)
    extract >> clean >> work()
    extract >> gone
with DAG("same"):
    BashOperator(task_id="a", bash_command="true")
"""
NEW = (
    OLD.replace("@daily", "0 6 * * *")
    .replace("echo one", "echo two")
    .replace("retries=1", "retries=3")
    .replace('task_id="clean"', 'task_id="wash"')
    .replace('task_id="gone", bash_command="true"', 'task_id="fresh", bash_command="date", pool="p"')
    .replace('{"n": 1}', '{"n": 2}')
    .replace("# comment", "")
)
LIB = "def rate():\n    return 2\n"


def check_difference(found: dict) -> None:
    assert [dag["dag_id"] for dag in found["added"]] == ["brand_new"]
    assert [dag["dag_id"] for dag in found["removed"]] == ["leaving"]
    assert found["same"] == 1
    (etl,) = found["changed"]
    fields = {field["field"]: (field["old"], field["new"]) for field in etl["fields"]}
    assert fields["schedule"] == ("0 0 * * *", "0 6 * * *") and fields["params.n.value"] == ("1", "2")
    before, after = (runs.split(", ") for runs in fields["next runs"])
    assert len(before) == len(after) == 5 and "06:00" in after[0] and "00:00" in before[0]
    assert set(fields) == {"schedule", "params.n.value", "next runs"}
    assert (etl["tasks_added"], etl["tasks_removed"]) == (["fresh"], ["gone"])
    tasks = {task["task_id"]: task for task in etl["tasks"]}
    assert set(tasks) == {"extract", "wash", "work"}
    changes = {field["field"]: (field["old"], field["new"]) for field in tasks["extract"]["fields"]}
    assert changes == {"bash_command": ("'echo one'", "'echo two'"), "retry.retries": ("1", "3")}
    assert tasks["wash"]["renamed_from"] == "clean" and not tasks["wash"]["fields"]
    # Its function calls one of a module that changed.
    assert tasks["work"]["code"] and not tasks["work"]["fields"]
    assert etl["edges_added"] == [{"upstream": "extract", "downstream": "fresh"}]
    assert etl["edges_removed"] == [{"upstream": "extract", "downstream": "gone"}]


def one_task(dag_id: str) -> str:
    return f"dag_id: {dag_id}\ntasks:\n  - {{id: a, operator: noop}}\n"


def test_folders_and_revisions_are_compared_by_meaning(tmp_path: Path) -> None:
    before = {"dags/etl.py": OLD, "dags/lib.py": LIB, "dags/leaving.yaml": one_task("leaving")}
    after = {"etl.py": NEW + "# comment\n", "lib.py": LIB.replace("2", "3"), "new.yaml": one_task("brand_new")}
    repository = write(tmp_path / "repo", before)
    write(tmp_path / "later", after)
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "one")
    status = git(repository, "status", "--porcelain=v2", "--branch")
    client = author(repository)
    check_difference(client.json("dags", "diff", "dags", str(tmp_path / "later")))
    # The working folder against a revision, and one revision against another.
    (repository / "dags/leaving.yaml").unlink()
    write(repository / "dags", after)
    check_difference(client.json("dags", "diff", "HEAD", "dags"))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    check_difference(client.json("dags", "diff", "main~1..", "--folder", "dags"))
    check_difference(client.json("dags", "diff", "HEAD~1", "HEAD"))
    assert git(repository, "status", "--porcelain=v2", "--branch") != status
    assert git(repository, "status", "--porcelain") == "" and git(repository, "worktree", "list").count("\n") == 0
    shown = client.fails("dags", "diff", "--exit-code", "HEAD~1")
    assert shown.code == 1
    for line in ("~ etl", "+ brand_new", "- leaving", "task wash  (was clean)", "+ extract -> fresh", "its code does something else"):
        assert line in shown.stdout, shown.stdout
    assert client.run("dags", "diff", "--exit-code", "HEAD", "dags") == ""


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"dags/a.yaml": one_task("a"), "broken/a.yaml": "dag_id: a\ntasks: 3\n"})
    client = author(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    outside = client.fails("dags", "diff", "HEAD~1", "dags")
    assert outside.code == 2 and "git repository" in outside.stderr and "HEAD~1" in outside.stderr
    git(tmp_path, "init", "-q", "-b", "main")
    unknown = client.fails("dags", "diff", "no-such-branch", "dags")
    assert unknown.code == 2 and "no-such-branch" in unknown.stderr
    found = client.json("dags", "diff", "dags", "broken")
    assert found["not_loaded"]["new"][0]["file"] == "a.yaml"


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- test --watch -----------------------------------------------------------------------------------------------------

WATCHED = HEAD + """import os, pathlib
from lib import rate
def count(name):
    with open(os.path.join(COUNTS, name), "a") as file:
        file.write("x")
with DAG("watched"):
    @task
    def first():
        count("first")
        return [rate(), 5]
    @task
    def second(numbers):
        count("second")
        print("sum is", sum(numbers))
        return sum(numbers)
    @task
    def third(number):
        count("third")
        print("third got", number)
    other = BashOperator(task_id="other", bash_command="echo -n x >> COUNTS/other")
    third(second(first()))
"""


class Watch:
    """A `dags test --watch` that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = folder / "counts"
        self.counts.mkdir()
        self.text = WATCHED.replace("COUNTS/", f"{self.counts}/").replace("COUNTS", repr(str(self.counts)))
        write(folder / "dags", {"watched.py": self.text, "lib.py": LIB})
        client = author(folder)
        args = ["dags", "test", "watched", "--watch", "--dags-folder", str(folder / "dags")]
        self.process = Process(args, client.env, folder, folder / "watch.log")
        self.rounds = 0

    def save(self, text: str, name: str = "watched.py") -> None:
        (self.folder / "dags" / name).write_text(text)

    def next(self, what: str = "watching") -> str:
        """What was said until the next wait for a save."""
        begin = getattr(self, "_read", 0)

        def there() -> int:
            assert self.process.popen.poll() is None, self.process.tail()
            return self.process.text().find(f"{what} ", begin) + 1

        try:
            end = int(str(eventually(f"{what}", there, patience=180)))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.tail()}") from None
        self._read = end + len(what)
        return self.process.text()[begin : self._read]

    def ran(self) -> dict[str, int]:
        return {path.name: len(path.read_text()) for path in sorted(self.counts.iterdir())}


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    running = Watch(tmp_path)
    yield running
    if running.process.popen.poll() is None:
        running.process.kill()


def test_a_save_runs_again_what_changed_and_what_depends_on_it(watch: Watch) -> None:
    assert "sum is 7" in watch.next()
    assert watch.ran() == {"first": 1, "other": 1, "second": 1, "third": 1}

    # A function: it and what is below it run again, with the XCom of what is above.
    watch.text = watch.text.replace('"sum is"', '"total is"')
    watch.save(watch.text)
    said = watch.next()
    assert "second: its code changed" in said and "third: it comes after second" in said, said
    assert "as they are, with their XComs: other, first" in said or "first" in said.split("XComs:")[1]
    assert "total is 7" in said and "sum is" not in said
    assert watch.ran() == {"first": 1, "other": 1, "second": 2, "third": 2}

    # A comment and moved lines: nothing.
    watch.text = watch.text.replace("import os, pathlib", "import os, pathlib\n\n# a remark")
    watch.save(watch.text)
    assert "no task does anything else" in watch.next()
    assert watch.ran() == {"first": 1, "other": 1, "second": 2, "third": 2}

    # A module that one task uses.
    watch.save(LIB.replace("2", "3"), "lib.py")
    said = watch.next()
    assert "first: its code changed" in said and "total is 8" in said, said
    assert watch.ran() == {"first": 2, "other": 1, "second": 3, "third": 3}

    # A file that breaks, and is mended with another argument.
    watch.save(watch.text + "\nwith DAG('x') as\n")
    assert "watched.py:" in watch.next("waiting for the next save"[:7])
    watch.text = watch.text.replace("echo -n x", "echo -n xx")
    watch.save(watch.text)
    said = watch.next()
    assert "other: its arguments changed (bash_command)" in said, said
    assert watch.ran() == {"first": 2, "other": 3, "second": 3, "third": 3}

    # A new task, and one that is gone.
    new = f'second(first()) >> BashOperator(task_id="new", bash_command="echo -n x >> {watch.counts}/new")'
    watch.text = watch.text.replace("third(second(first()))", new)
    watch.save(watch.text)
    assert "new: it is new" in watch.next()
    assert watch.ran() == {"first": 2, "new": 1, "other": 3, "second": 3, "third": 3}

    # A failure ends nothing, and the mend runs the failed task again.
    watch.save(watch.text.replace('print("total is"', 'print(1 / 0, "total is"'))
    assert "ZeroDivisionError" in watch.next()
    watch.save(watch.text)
    said = watch.next()
    assert "second: its code changed" in said and "total is 8" in said, said
    assert watch.ran()["second"] == 5 and watch.ran()["first"] == 2

    watch.process.popen.send_signal(signal.SIGINT)
    assert watch.process.popen.wait(30) == 0, watch.process.tail()

    def left() -> list[str]:
        return [name for name in os.listdir("/proc") if name.isdigit() and _belongs(name, watch.folder)]

    eventually("the end of all that it started", lambda: not left(), patience=20)


def _belongs(pid: str, folder: Path) -> bool:
    """Whether a process was started with a path of this folder: guests have their home there."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
