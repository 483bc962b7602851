"""XComs through a backend of Airflow's configuration, and what the secrets backend of this system has."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Connection, Variable, task

with DAG("xcoms", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):

    @task
    def big() -> list[str]:
        return [f"row {number} {'x' * 50}" for number in range(500)]

    @task
    def small() -> dict:
        return {"a": 1}

    @task(multiple_outputs=True)
    def several() -> dict:
        return {"one": "1" * 5000, "two": 2}

    @task
    def use(rows: list[str], thing: dict, one: str) -> str:
        return f"{len(rows)} {rows[-1][:7]} {thing['a']} {len(one)}"

    @task
    def part(row: str) -> str:
        return row[:6]

    @task
    def few(rows: list[str]) -> list[str]:
        return [row * 20 for row in rows[:3]]

    @task
    def gather(parts: list[str]) -> list[str]:
        return list(parts)

    rows, thing, outputs = big(), small(), several()
    use(rows, thing, outputs["one"])
    gather(part.expand(row=few(rows)))
    BashOperator(
        task_id="in_template", bash_command="echo {{ ti.xcom_pull('big') | length }} {{ ti.xcom_pull('small').a }}"
    ).set_upstream([rows, thing])

    @task
    def look() -> dict:
        return {
            "connection": Connection.get("from_backend").host,
            "variable": Variable.get("from_backend"),
            "store": Variable.get("from_store"),
        }

    look()
