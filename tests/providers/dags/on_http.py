"""http, against a server that says what it was asked."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.notifications.http import HttpNotifier
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG, task

with DAG(
    "http",
    schedule=None,
    start_date=datetime(2025, 1, 1),
    tags=["providers"],
    on_success_callback=HttpNotifier(
        http_conn_id="web", endpoint="/notify/dag", json={"dag": "{{ dag.dag_id }}", "run": "{{ run_id }}"}
    ),
):
    HttpOperator(
        task_id="post",
        http_conn_id="web",
        endpoint="/echo/{{ dag.dag_id }}",
        data='{"day": "{{ dag_run.run_id }}"}',
        headers={"Content-Type": "application/json"},
        response_filter=lambda response: response.json(),
        on_success_callback=HttpNotifier(http_conn_id="web", endpoint="/notify/task", json={"task": "{{ ti.task_id }}"}),
    )
    HttpOperator(
        task_id="deferred",
        http_conn_id="web",
        method="GET",
        endpoint="/echo/deferred",
        data={"who": "{{ task.task_id }}"},
        response_filter=lambda response: response.json()["query"],
        deferrable=True,
    )
    HttpOperator(
        task_id="pages",
        http_conn_id="web",
        method="GET",
        endpoint="/pages/1",
        pagination_function=lambda response: {"endpoint": response.json()["next"]} if response.json()["next"] else None,
        response_filter=lambda responses: [response.json()["page"] for response in responses],
    )
    HttpSensor(
        task_id="sensor",
        http_conn_id="web",
        endpoint="/ready/sensor",
        response_check=lambda response: response.json()["ready"],
        poke_interval=0.5,
    )
    HttpSensor(
        task_id="deferred_sensor",
        http_conn_id="web",
        endpoint="/available/deferred",
        deferrable=True,
        poke_interval=0.5,
    )
    HttpOperator(task_id="refused", http_conn_id="web", method="GET", endpoint="/status/500", retries=0)

    @task(retries=0)
    def with_hook() -> dict:
        response = HttpHook(method="PUT", http_conn_id="web").run("/echo/hook", data={"a": "b"})
        return {"method": response.json()["method"], "user": response.json()["user"]}

    with_hook()
