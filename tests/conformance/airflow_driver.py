"""Drives a real Airflow by its REST API, and reads outcomes from its metadata database."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
from psycopg2.pool import ThreadedConnectionPool

from airflow_server import AirflowServer
from cases import Case
from driver import Rejected, key_of
from normalize import instant


class AirflowDriver:
    """The reference."""

    def __init__(self, server: AirflowServer, dags: Path, journal: Path) -> None:
        self.server = server
        self.dags = dags
        self.journal = journal
        self.url = server.url
        self._token = ""
        self._lock = threading.Lock()
        self._pool: ThreadedConnectionPool | None = None

    def start(self) -> None:
        self.dags.mkdir(parents=True, exist_ok=True)
        self.journal.mkdir(parents=True, exist_ok=True)
        self.server.start()
        self._pool = ThreadedConnectionPool(1, 24, self.server.database)

    def stop(self) -> None:
        if self._pool:
            self._pool.closeall()
        self.server.stop()

    # --- transport --------------------------------------------------------------------------------------------------

    def token(self) -> str:
        with self._lock:
            if not self._token:
                with urllib.request.urlopen(f"{self.url}/auth/token", timeout=30) as answer:
                    self._token = json.load(answer)["access_token"]
            return self._token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the REST API; a refusal (4xx) raises Rejected."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if 400 <= error.code < 500:
                raise Rejected(f"{method} {path}: {error.code} {text}") from error
            raise RuntimeError(f"{method} {path}: {error.code} {text}") from error
        return json.loads(raw) if raw else None

    def sql(self, query: str, *args: Any) -> list[dict[str, Any]]:
        assert self._pool
        connection = self._pool.getconn()
        try:
            connection.autocommit = True
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(query, args or None)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            self._pool.putconn(connection)

    # --- DAGs -------------------------------------------------------------------------------------------------------

    def prepare(self, case: Case) -> None:
        """Deletes the runs, backfills and asset events of an earlier time; the DAGs stay."""
        for dag_id in case.dag_ids:
            self.sql(
                "delete from backfill_dag_run where backfill_id in (select id from backfill where dag_id = %s)", dag_id
            )
            self.sql("delete from asset_event where source_dag_id = %s", dag_id)
            self.sql("delete from dag_run where dag_id = %s", dag_id)
            self.sql("delete from backfill where dag_id = %s", dag_id)
            self.sql("delete from asset_dag_run_queue where target_dag_id = %s", dag_id)
            self.sql("delete from log where event = 'state mismatch' and dag_id = %s", dag_id)
            # What the scheduler worked out while those runs were there.
            self.sql("update dag set exceeds_max_non_backfill = false, is_paused = true where dag_id = %s", dag_id)
        self.sql(
            "delete from asset_event where asset_id in (select id from asset where uri like %s)", f"%{case.name}/%"
        )

    def races(self, case: Case) -> list[str]:
        """Tasks that Airflow failed because its executor's report came late: it took what went on for lost."""
        if case.options.get("mismatch"):
            return []
        rows = self.sql("select task_id from log where event = 'state mismatch' and dag_id = any(%s)", case.dag_ids)
        return [row["task_id"] for row in rows]

    def wait_until_loaded(self, case: Case, newer: bool) -> None:
        changed = (self.dags / case.area / case.path.name).stat().st_mtime
        deadline = time.monotonic() + 300
        while True:
            rows = self.sql(
                "select dag_id from dag where dag_id = any(%s) and not is_stale"
                " and last_parsed_time > to_timestamp(%s)",
                case.dag_ids,
                changed,
            )
            if len(rows) == len(case.dag_ids):
                return
            broken = self.sql(
                "select 1 from import_error where filename like %s and timestamp > to_timestamp(%s)",
                f"%/{case.name}.py",
                changed,
            )
            if broken or time.monotonic() > deadline:
                raise RuntimeError(f"{case.name}: Airflow did not load {case.dag_ids}: {self.load_trouble(case)}")
            time.sleep(0.5)

    def load_trouble(self, case: Case) -> str:
        rows = self.sql("select stacktrace from import_error where filename like %s", f"%{case.name}.py")
        return rows[0]["stacktrace"] if rows else "no import error either"

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self.call("PATCH", f"dags/{dag_id}", {"is_paused": paused})

    def import_errors(self) -> list[str]:
        return [row["filename"] for row in self.sql("select filename from import_error")]

    # --- runs -------------------------------------------------------------------------------------------------------

    def trigger(self, dag_id: str, run_id: str | None, logical_date: str | None, conf: dict[str, Any] | None) -> str:
        body: dict[str, Any] = {"logical_date": logical_date}
        if run_id is not None:
            body["dag_run_id"] = run_id
        if conf is not None:
            body["conf"] = conf
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run_states(self, dag_id: str) -> dict[str, str]:
        rows = self.sql("select run_id, state from dag_run where dag_id = %s", dag_id)
        return {row["run_id"]: row["state"] for row in rows}

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        rows = self.sql(
            "select task_id, map_index, state from task_instance where dag_id = %s and run_id = %s", dag_id, run_id
        )
        return {key_of(row["task_id"], row["map_index"]): row["state"] or "no_status" for row in rows}

    def clear(self, dag_id: str, args: dict[str, Any]) -> list[str]:
        body: dict[str, Any] = {
            "dry_run": args.get("dry_run", False),
            "only_failed": args.get("only_failed", False),
            "only_running": args.get("only_running", False),
            "include_upstream": args.get("upstream", False),
            "include_downstream": args.get("downstream", False),
            "include_past": args.get("past", False),
            "include_future": args.get("future", False),
        }
        for name in ("start_date", "end_date"):
            if args.get(name):
                body[name] = args[name]
        if args.get("run_id"):
            body["dag_run_id"] = args["run_id"]
        if args.get("tasks"):
            body["task_ids"] = [task if isinstance(task, str) else list(task) for task in args["tasks"]]
        rows = self.call("POST", f"dags/{dag_id}/clearTaskInstances", body)["task_instances"]
        return [f"{row['dag_id']} {row['dag_run_id']} {key_of(row['task_id'], row['map_index'])}" for row in rows]

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str, args: dict[str, Any]) -> None:
        body = {"new_state": state}
        for name in ("upstream", "downstream", "past", "future"):
            if args.get(name):
                body[f"include_{name}"] = True
        index = f"/{args['map_index']}" if "map_index" in args else ""
        self.call("PATCH", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}{index}", body)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self.call("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def backfill(self, dag_id: str, args: dict[str, Any]) -> Any:
        body = {
            "dag_id": dag_id,
            "from_date": args["from"],
            "to_date": args["to"],
            "run_backwards": args.get("backwards", False),
            "reprocess_behavior": args.get("reprocess", "none"),
            "max_active_runs": args.get("max_active_runs", 10),
            "dag_run_conf": args.get("conf", {}),
        }
        if args.get("dry_run"):
            return [row["logical_date"] for row in self.call("POST", "backfills/dry_run", body)["backfills"]]
        return self.call("POST", "backfills", body)["id"]

    def change_backfill(self, dag_id: str, backfill: Any, change: str) -> None:
        self.call("PUT", f"backfills/{backfill}/{change}")

    def answer(self, dag_id: str, run_id: str, task_id: str, map_index: int, options: list[str], params: dict) -> None:
        # Airflow fails a task that goes on before its executor has noticed the end of the process that asked.
        time.sleep(3)
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
        self.call("PATCH", path, {"chosen_options": options, "params_input": params})

    # --- the rest ---------------------------------------------------------------------------------------------------

    def set_pool(self, name: str, slots: int, include_deferred: bool) -> None:
        body = {"name": name, "slots": slots, "include_deferred": include_deferred, "description": ""}
        if self.sql("select 1 from slot_pool where pool = %s", name):
            self.call("PATCH", f"pools/{name}", {"pool": name, **{k: v for k, v in body.items() if k != "name"}})
        else:
            self.call("POST", "pools", body)

    def set_variable(self, key: str, value: str) -> None:
        body = {"key": key, "value": value, "description": ""}
        if self.sql("select 1 from variable where key = %s", key):
            self.call("PATCH", f"variables/{key}", body)
        else:
            self.call("POST", "variables", body)

    def set_connection(self, conn_id: str, fields: dict[str, Any]) -> None:
        body = {"connection_id": conn_id, **fields}
        if self.sql("select 1 from connection where conn_id = %s", conn_id):
            self.call("PATCH", f"connections/{conn_id}", body)
        else:
            self.call("POST", "connections", body)

    def asset_id(self, uri: str) -> int:
        rows = self.sql("select id from asset where uri = %s or name = %s", uri, uri)
        if not rows:
            raise RuntimeError(f"Airflow knows no asset {uri}")
        return int(rows[0]["id"])

    def asset_event(self, uri: str, extra: dict[str, Any]) -> None:
        self.call("POST", "assets/events", {"asset_id": self.asset_id(uri), "extra": extra})

    def materialize(self, uri: str) -> None:
        self.call("POST", f"assets/{self.asset_id(uri)}/materialize")

    # --- outcome ----------------------------------------------------------------------------------------------------

    def snapshot(self, case: Case) -> dict[str, Any]:
        return {
            "dags": {dag_id: self.dag(case, dag_id) for dag_id in case.dag_ids},
            "asset_events": self.asset_events(case),
        }

    def dag(self, case: Case, dag_id: str) -> dict[str, Any]:
        rows = self.sql("select * from dag_run where dag_id = %s", dag_id)
        paused = self.sql("select is_paused from dag where dag_id = %s", dag_id)
        return {"paused": bool(paused and paused[0]["is_paused"]), "runs": [self.dag_run(case, row) for row in rows]}

    def dag_run(self, case: Case, row: dict[str, Any]) -> dict[str, Any]:
        key = (row["dag_id"], row["run_id"])
        instances = self.sql("select * from task_instance where dag_id = %s and run_id = %s", *key)
        xcoms = self.sql("select task_id, map_index, key, value from xcom where dag_id = %s and run_id = %s", *key)
        rendered = self.sql(
            "select task_id, map_index, rendered_fields from rendered_task_instance_fields"
            " where dag_id = %s and run_id = %s",
            *key,
        )
        run = {
            "run_id": row["run_id"],
            "run_type": row["run_type"],
            "state": row["state"],
            "logical_date": instant(row["logical_date"]),
            "data_interval_start": instant(row["data_interval_start"]),
            "data_interval_end": instant(row["data_interval_end"]),
            "run_after": instant(row["run_after"]),
            "conf": row["conf"] or {},
            "clear_number": row["clear_number"],
            "tasks": {key_of(ti["task_id"], ti["map_index"]): task_instance(ti) for ti in instances},
            "xcoms": {},
            "rendered": {key_of(r["task_id"], r["map_index"]): r["rendered_fields"] for r in rendered},
        }
        for xcom in xcoms:
            run["xcoms"].setdefault(key_of(xcom["task_id"], xcom["map_index"]), {})[xcom["key"]] = xcom["value"]
        if case.options.get("start_order"):
            started = sorted((ti for ti in instances if ti["start_date"]), key=lambda ti: ti["start_date"])
            run["start_order"] = [key_of(ti["task_id"], ti["map_index"]) for ti in started]
        return run

    def asset_events(self, case: Case) -> list[dict[str, Any]]:
        rows = self.sql(
            "select e.*, a.uri, a.name from asset_event e join asset a on a.id = e.asset_id"
            " where e.source_dag_id = any(%s) or a.uri like %s",
            case.dag_ids,
            f"%{case.name}/%",
        )
        return [self.one_event(row) for row in rows]

    def one_event(self, row: dict[str, Any]) -> dict[str, Any]:
        runs = self.sql(
            "select r.dag_id, r.run_id from dagrun_asset_event e join dag_run r on r.id = e.dag_run_id"
            " where e.event_id = %s",
            row["id"],
        )
        aliases = self.sql(
            "select a.name from asset_alias_asset_event e join asset_alias a on a.id = e.alias_id"
            " where e.event_id = %s",
            row["id"],
        )
        return {
            "uri": row["uri"],
            "name": row["name"],
            "extra": row["extra"] or {},
            "source_dag_id": row["source_dag_id"],
            "source_task_id": row["source_task_id"],
            "source_run_id": row["source_run_id"],
            "source_map_index": row["source_map_index"],
            "aliases": sorted(alias["name"] for alias in aliases),
            "created_runs": sorted(f"{run['dag_id']} {run['run_id']}" for run in runs),
        }


def task_instance(row: dict[str, Any]) -> dict[str, Any]:
    found = {
        "state": row["state"] or "no_status",
        "try_number": row["try_number"],
        "max_tries": row["max_tries"],
        "operator": row["operator"],
        "pool": row["pool"],
        "pool_slots": row["pool_slots"],
        "queue": row["queue"],
        "priority_weight": row["priority_weight"],
    }
    if row["rendered_map_index"] is not None:
        found["rendered_map_index"] = row["rendered_map_index"]
    return found
