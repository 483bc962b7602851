"""Drives `tradewind standalone` by its CLI. What the CLI does not show yet is read from its SQLite store, read-only."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cases import Case
from driver import Rejected, key_of

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness import CliError, Standalone  # noqa: E402

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: Exit codes of the CLI that mean "no": wrong value, not found, exists already or not now.
REFUSALS = (1, 2, 3, 5)
#: What the CLI says about a command or an option that it does not have.
UNKNOWN = re.compile(r"unrecognized subcommand|unexpected argument|unexpected value")
TASK_FIELDS = ("state", "try_number", "max_tries", "operator", "pool", "pool_slots", "queue", "priority_weight")
RUN_FIELDS = ("run_id", "run_type", "state", "logical_date", "data_interval_start", "data_interval_end", "run_after")


class Unsupported(Exception):
    """The CLI has no such command yet."""


def from_micros(value: int | None) -> str | None:
    return None if value is None else (EPOCH + timedelta(microseconds=value)).isoformat()


class TradewindDriver:
    """The system under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.system = Standalone(folder, self.settings())
        self.dags = self.system.dags
        self.client = self.system.client

    def settings(self) -> dict[str, str]:
        guests = {
            "CONFORMANCE_JOURNAL": str(self.journal),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(HERE / "plugins"),
            "AIRFLOW__EMAIL__EMAIL_BACKEND": "conformance_callbacks.send_email",
        }
        own = {name: os.environ[name] for name in os.environ if name.startswith("TRADEWIND__")}
        return {"TRADEWIND__WORKER__ENV": json.dumps(guests), "TRADEWIND__WORKER__SLOTS": "16", **own}

    def start(self) -> None:
        self.journal.mkdir(parents=True, exist_ok=True)
        self.system.start()

    def stop(self) -> None:
        if self.system.process:
            self.system.stop()

    # --- transport --------------------------------------------------------------------------------------------------

    def cli(self, *args: str) -> str:
        try:
            return self.client.run(*args)
        except CliError as error:
            said = error.stdout + error.stderr
            if UNKNOWN.search(said):
                raise Unsupported(f"tradewind {' '.join(args)}: {said.strip().splitlines()[0]}") from error
            if error.code in REFUSALS:
                raise Rejected(f"tradewind {' '.join(args)}: {said.strip()}") from error
            raise

    def json(self, *args: str) -> Any:
        return json.loads(self.cli(*args, "-o", "json"))

    def sql(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of the store; none when it has no such table yet."""
        with closing(sqlite3.connect(f"file:{self.system.home}/tradewind.db?mode=ro", uri=True, timeout=30)) as store:
            store.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in store.execute(query, args)]
            except sqlite3.OperationalError as error:
                if "no such" in str(error):
                    return []
                raise

    # --- DAGs -------------------------------------------------------------------------------------------------------

    def prepare(self, case: Case) -> None:
        """Every run of the suite has a store of its own: there is nothing to remove."""

    def wait_until_loaded(self, case: Case, newer: bool) -> None:
        changed = (self.dags / case.area / case.path.name).stat().st_mtime
        file = f"{case.area}/{case.path.name}"
        deadline = time.monotonic() + 180
        while True:
            known = {dag["dag_id"]: dag for dag in self.json("dags", "list", "--limit", "0")}
            mine = [known[dag_id] for dag_id in case.dag_ids if dag_id in known]
            if len(mine) == len(case.dag_ids) and all(not newer or self.parsed(dag) > changed for dag in mine):
                return
            errors = {row["filepath"]: row["error"] for row in self.json("dags", "list-import-errors", "--limit", "0")}
            if file in errors or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{case.name}: {case.dag_ids} not loaded: {errors.get(file, 'no import error either')}"
                )
            time.sleep(0.5)

    @staticmethod
    def parsed(dag: dict[str, Any]) -> float:
        return datetime.fromisoformat(dag["last_parsed"]).timestamp()

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self.cli("dags", "pause" if paused else "unpause", dag_id)

    def import_errors(self) -> list[str]:
        return [row["filepath"] for row in self.json("dags", "list-import-errors", "--limit", "0")]

    # --- runs -------------------------------------------------------------------------------------------------------

    def trigger(self, dag_id: str, run_id: str | None, logical_date: str | None, conf: dict[str, Any] | None) -> str:
        args = ["dags", "trigger", dag_id, "--logical-date", logical_date or "none"]
        if run_id is not None:
            args += ["--run-id", run_id]
        if conf is not None:
            args += ["--conf", json.dumps(conf)]
        return str(self.json(*args)["run_id"])

    def run_states(self, dag_id: str) -> dict[str, str]:
        return {run["run_id"]: run["state"] for run in self.json("dags", "list-runs", dag_id, "--limit", "0")}

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        rows = self.json("tasks", "states-for-dag-run", dag_id, run_id)
        return {key_of(row["task_id"], row["map_index"]): row["state"] for row in rows}

    def clear(self, dag_id: str, args: dict[str, Any]) -> list[str]:
        command = ["tasks", "clear", dag_id, "--yes"]
        for name in ("run_id", "start_date", "end_date"):
            if args.get(name):
                command += [f"--{name.replace('_', '-')}", str(args[name])]
        tasks = args.get("tasks", [])
        if tasks:
            ids = [task if isinstance(task, str) else task[0] for task in tasks]
            command += ["--task-regex", f"^({'|'.join(re.escape(task) for task in ids)})$"]
        for task in tasks:
            if not isinstance(task, str):
                command += ["--map-index", str(task[1])]
        for name in ("upstream", "downstream", "past", "future", "only_failed", "only_running", "dry_run"):
            if args.get(name):
                command.append(f"--{name.replace('_', '-')}")
        rows = self.json(*command)
        return [f"{row['dag_id']} {row['run_id']} {key_of(row['task_id'], row['map_index'])}" for row in rows]

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str, args: dict[str, Any]) -> None:
        command = ["tasks", "mark", dag_id, run_id, task_id, state]
        if "map_index" in args:
            command += ["--map-index", str(args["map_index"])]
        for name in ("upstream", "downstream", "past", "future"):
            if args.get(name):
                command.append(f"--{name}")
        self.cli(*command)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self.cli("dags", "mark-run", dag_id, run_id, state)

    def backfill(self, dag_id: str, args: dict[str, Any]) -> Any:
        command = ["backfill", "create", "--dag-id", dag_id, "--from-date", args["from"], "--to-date", args["to"]]
        command += ["--reprocess-behavior", args.get("reprocess", "none")]
        command += ["--max-active-runs", str(args.get("max_active_runs", 10))]
        if args.get("conf"):
            command += ["--dag-run-conf", json.dumps(args["conf"])]
        if args.get("backwards"):
            command.append("--run-backwards")
        if args.get("dry_run"):
            planned = [row for row in self.json(*command, "--dry-run") if not row.get("skipped")]
            return [row["logical_date"].replace("+00:00", "Z") for row in planned]
        return self.json(*command)["id"]

    def change_backfill(self, dag_id: str, backfill: Any, change: str) -> None:
        self.cli("backfill", change, str(backfill))

    def answer(self, dag_id: str, run_id: str, task_id: str, map_index: int, options: list[str], params: dict) -> None:
        command = ["tasks", "answer", dag_id, run_id, task_id]
        for option in options:
            command += ["--option", option]
        if params:
            command += ["--params", json.dumps(params)]
        if map_index >= 0:
            command += ["--map-index", str(map_index)]
        self.cli(*command)

    # --- the rest ---------------------------------------------------------------------------------------------------

    def set_pool(self, name: str, slots: int, include_deferred: bool) -> None:
        command = ["pools", "set"]
        if include_deferred:
            command.append("--include-deferred")
        self.cli(*command, "--", name, str(slots))

    def set_variable(self, key: str, value: str) -> None:
        self.cli("variables", "set", key, value)

    def set_connection(self, conn_id: str, fields: dict[str, Any]) -> None:
        try:
            self.cli("connections", "delete", conn_id, "--yes")
        except (Rejected, Unsupported):
            pass
        self.cli("connections", "add", conn_id, "--conn-json", json.dumps(fields))

    def asset_event(self, uri: str, extra: dict[str, Any]) -> None:
        self.cli("assets", "event", "--uri", uri, "--extra", json.dumps(extra))

    def materialize(self, uri: str) -> None:
        self.cli("assets", "materialize", "--uri", uri)

    # --- outcome ----------------------------------------------------------------------------------------------------

    def snapshot(self, case: Case) -> dict[str, Any]:
        paused = {dag["dag_id"]: dag["is_paused"] for dag in self.json("dags", "list", "--limit", "0")}
        return {
            "dags": {
                dag_id: {"paused": paused.get(dag_id, False), "runs": self.runs(case, dag_id)}
                for dag_id in case.dag_ids
            },
            "asset_events": self.asset_events(case),
        }

    def runs(self, case: Case, dag_id: str) -> list[dict[str, Any]]:
        return [self.dag_run(case, dag_id, row) for row in self.json("dags", "list-runs", dag_id, "--limit", "0")]

    def dag_run(self, case: Case, dag_id: str, row: dict[str, Any]) -> dict[str, Any]:
        run_id = row["run_id"]
        instances = self.json("tasks", "states-for-dag-run", dag_id, run_id)
        stored = self.sql("select * from dag_run where dag_id = ? and run_id = ?", dag_id, run_id)[0]
        run = {name: row[name] for name in RUN_FIELDS}
        run["conf"] = row["conf"] or {}
        run["clear_number"] = stored["clear_number"]
        run["tasks"] = self.task_instances(instances, stored["run_no"])
        run["rendered"] = self.rendered(stored["run_no"])
        run["xcoms"] = {}
        for xcom in self.json("xcom", "list", dag_id, run_id, "--limit", "0"):
            run["xcoms"].setdefault(key_of(xcom["task_id"], xcom["map_index"]), {})[xcom["key"]] = xcom["value"]
        if case.options.get("start_order"):
            started = sorted((ti for ti in instances if ti["start_date"]), key=lambda ti: ti["start_date"])
            run["start_order"] = [key_of(ti["task_id"], ti["map_index"]) for ti in started]
        return run

    def task_instances(self, instances: list[dict[str, Any]], run_no: int) -> dict[str, Any]:
        labels = {
            (row["task_id"], row["map_index"]): row["rendered_map_index"]
            for row in self.sql(
                "select task_id, map_index, rendered_map_index from task_instance where run_no = ?", run_no
            )
        }
        found: dict[str, Any] = {}
        for row in instances:
            task = {name: row[name] for name in TASK_FIELDS}
            label = labels.get((row["task_id"], row["map_index"]))
            if label is not None:
                task["rendered_map_index"] = label
            found[key_of(row["task_id"], row["map_index"])] = task
        return found

    def rendered(self, run_no: int) -> dict[str, Any]:
        rows = self.sql(
            "select t.task_id, t.map_index, r.fields from rendered r join task_instance t on t.id = r.ti"
            " where t.run_no = ?",
            run_no,
        )
        return {key_of(row["task_id"], row["map_index"]): json.loads(row["fields"]) for row in rows}

    def asset_events(self, case: Case) -> list[dict[str, Any]]:
        rows = self.sql("select * from asset_event")
        mine = [row for row in rows if row["source_dag_id"] in case.dag_ids or f"//{case.name}/" in row["uri"]]
        return [self.one_event(row) for row in mine]

    def one_event(self, row: dict[str, Any]) -> dict[str, Any]:
        runs = self.sql(
            "select r.dag_id, r.run_id from consumed_event c join dag_run r on r.run_no = c.run_no"
            " where c.event_no = ?",
            row["no"],
        )
        return {
            "uri": row["uri"],
            "name": row["name"],
            "extra": json.loads(row["extra"] or "{}"),
            "source_dag_id": row["source_dag_id"],
            "source_task_id": row["source_task_id"],
            "source_run_id": row["source_run_id"],
            "source_map_index": -1 if row["source_map_index"] is None else row["source_map_index"],
            "aliases": sorted(json.loads(row["aliases"] or "[]")),
            "created_runs": sorted(f"{run['dag_id']} {run['run_id']}" for run in runs),
        }
