"""What several cases use. It stands beside the DAG files, so that they can import it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def note(case: str, event: str, **more: Any) -> None:
    """Adds a line to the journal of a case: what happened, for outcomes that no table holds."""
    path = Path(os.environ["CONFORMANCE_JOURNAL"]) / f"{case}.jsonl"
    line = json.dumps({"event": event, **more}, sort_keys=True, default=str)
    with path.open("a") as journal:
        journal.write(line + "\n")


def wait_until_noted(case: str, *events: str, seconds: float = 60) -> None:
    """Returns when the journal of the case holds all the events."""
    path = Path(os.environ["CONFORMANCE_JOURNAL"]) / f"{case}.jsonl"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        noted = {json.loads(line)["event"] for line in path.read_text().splitlines()} if path.exists() else set()
        if noted.issuperset(events):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{events} were not noted within {seconds} s")


def count(case: str, name: str) -> int:
    """How often this was called for the name, in all processes: 1 for the first call."""
    path = Path(os.environ["CONFORMANCE_JOURNAL"]) / f"{case}.{name}.count"
    with path.open("a") as calls:
        calls.write("x")
    return path.stat().st_size


def fail() -> None:
    raise ValueError("this task fails")


def skip() -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException("this task skips itself")


#: Upstream states of which every mix is tried: success, failed, skipped, upstream_failed.
MIXES = [
    "s",
    "f",
    "k",
    "u",
    "ss",
    "ff",
    "kk",
    "uu",
    "sf",
    "sk",
    "su",
    "fk",
    "kf",
    "fu",
    "ku",
    "sfk",
    "sfu",
    "sku",
    "fku",
    "sfku",
]


def every_mix(rule: str) -> None:
    """In the open DAG: tasks that end in each state, and for each mix of them a task with the trigger rule.

    A skipped task ends after a failed one, but in the mix `kf`: there the order matters to `all_success`.
    """
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import PythonOperator

    s1, s2 = (EmptyOperator(task_id=f"s{n}") for n in (1, 2))
    f1 = PythonOperator(task_id="f1", python_callable=fail)
    u1, u2 = (EmptyOperator(task_id=f"u{n}") for n in (1, 2))
    f1 >> [u1, u2]
    k1 = PythonOperator(task_id="k1", python_callable=skip, trigger_rule="all_done")
    k2 = EmptyOperator(task_id="k2")
    k1 >> k2
    f2 = PythonOperator(task_id="f2", python_callable=fail, trigger_rule="all_done")
    f1 >> k1 >> f2
    by_letter = {"s": [s1, s2], "f": [f1, f2], "k": [k1, k2], "u": [u1, u2]}
    for mix in MIXES:
        task = EmptyOperator(task_id=f"mix_{mix}", trigger_rule=rule)
        if mix == "kf":
            [k1, f2] >> task
        else:
            [by_letter[letter][mix[:place].count(letter)] for place, letter in enumerate(mix)] >> task
