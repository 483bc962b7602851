"""Connections and variables from every source, as tasks, templates and triggers see them."""

from __future__ import annotations

import os
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, Connection, Variable, task
from airflow.sdk.bases.hook import BaseHook

from secret_trigger import LookTrigger

CONNECTIONS = ("in_store", "in_store_and_env", "everywhere", "env_uri", "env_json", "only_backend")
VARIABLES = ("in_store", "in_store_and_env", "everywhere", "only_env", "only_backend")


class LookInTrigger(BaseOperator):
    def execute(self, context):
        self.defer(trigger=LookTrigger(connections=CONNECTIONS, variables=VARIABLES), method_name="done")

    def done(self, context, event):
        return event


# What a file reads when it is loaded shows in the DAG's description.
AT_TOP = (
    f"{Variable.get('everywhere')} {Variable.get('only_env')} {Variable.get('in_store')} {Connection.get('env_json').host}"
    f" {BaseHook.get_connection('in_store').host}"
)

with DAG("secrets", description=AT_TOP, schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):

    @task
    def look() -> dict:
        return {
            "connections": {name: Connection.get(name).host for name in CONNECTIONS},
            "variables": {name: Variable.get(name) for name in VARIABLES},
            "hidden": os.environ.get("AIRFLOW__CORE__FERNET_KEY"),
            "missing": Variable.get("nowhere", default="the default"),
        }

    @task
    def keys() -> list[str]:
        return [key for key in Variable.keys(prefix="in_store")]

    @task
    def details() -> dict:
        uri, json = BaseHook.get_connection("env_uri"), BaseHook.get_connection("env_json")
        return {
            "uri": [uri.conn_type, uri.login, uri.port, uri.schema, uri.extra_dejson],
            "json": [json.conn_type, json.login, json.port, json.schema, json.extra_dejson],
        }

    @task
    def tell() -> None:
        """Prints every password it can get at, in several forms."""
        for name in CONNECTIONS:
            connection = BaseHook.get_connection(name)
            print("password", name, connection.password)
            print("uri", name, connection.get_uri())
        print("extra", BaseHook.get_connection("in_store").extra_dejson["api_key"])
        print("variable", Variable.get("db_password"), Variable.get("env_api_key"))
        print("the end")

    LookInTrigger(task_id="in_trigger")
    BashOperator(
        task_id="in_template",
        bash_command="echo {{ conn.everywhere.host }} {{ conn.env_json.host }} {{ conn.in_store.host }}"
        " {{ var.value.everywhere }} {{ var.json.shape.side }} {{ var.value.get('nowhere', 'fallback') }}",
    )
    BashOperator(
        task_id="rendered",
        bash_command="echo {{ conn.in_store.password }}",
        env={"P": "{{ conn.env_uri.password }}"},
        do_xcom_push=False,
    )

    @task
    def write() -> str:
        Variable.set("written", "by a task", description="d")
        written = Variable.get("written")
        Variable.delete("written")
        return f"{written}, then {Variable.get('written', default='gone')}"

    [look(), keys(), details(), tell(), write()]
