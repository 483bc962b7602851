"""common.sql with postgres, mysql and sqlite: the same work on each, then rows from one to the next."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer
from airflow.providers.common.sql.operators.sql import (
    BranchSQLOperator,
    SQLCheckOperator,
    SQLColumnCheckOperator,
    SQLExecuteQueryOperator,
    SQLInsertRowsOperator,
    SQLTableCheckOperator,
    SQLThresholdCheckOperator,
    SQLValueCheckOperator,
)
from airflow.providers.common.sql.sensors.sql import SqlSensor
from airflow.providers.mysql.hooks.mysql import MySqlHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.sdk import DAG, task
from airflow.sdk.bases.hook import BaseHook

HOOKS = {
    "postgres": (PostgresHook, "postgres_conn_id", "pg"),
    "mysql": (MySqlHook, "mysql_conn_id", "maria"),
    "sqlite": (SqliteHook, "sqlite_conn_id", "lite"),
}


def branch(name: str, conn_id: str, insert) -> None:
    hook, argument, _ = HOOKS[name]
    ways = BranchSQLOperator(
        task_id="is_full",
        conn_id=conn_id,
        sql="SELECT count(*) FROM fruit",
        follow_task_ids_if_true=["with_hook"],
        follow_task_ids_if_false=["empty"],
    )

    @task
    def empty() -> None:
        raise AssertionError("not to be taken")

    @task
    def with_hook() -> dict:
        made = hook(**{argument: conn_id})
        made.insert_rows("fruit", [(4, "dates", 40), (5, "elderberries", 50)], target_fields=["id", "name", "price"])
        frame = made.get_df("SELECT name, price FROM fruit ORDER BY id", df_type="pandas")
        # The hook that the connection itself names.
        named = BaseHook.get_hook(conn_id)
        return {
            "first": list(named.get_first("SELECT name, price FROM fruit WHERE id = 1")),
            "sum": int(frame["price"].sum()),
            "hook": type(named).__name__,
        }

    insert >> ways >> [empty(), with_hook()]


def make(name: str) -> DAG:
    conn_id = HOOKS[name][2]
    with DAG(f"sql_{name}", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]) as dag:
        create = SQLExecuteQueryOperator(
            task_id="create",
            conn_id=conn_id,
            sql=[
                "DROP TABLE IF EXISTS fruit",
                "CREATE TABLE fruit (id INTEGER PRIMARY KEY, name VARCHAR(40), price INTEGER)",
                "INSERT INTO fruit VALUES (1, '{{ dag.dag_id }}', 10)",
            ],
            autocommit=True,
        )
        insert = SQLInsertRowsOperator(
            task_id="insert",
            conn_id=conn_id,
            table_name="fruit",
            columns=["id", "name", "price"],
            rows=[(2, "bananas", 20), (3, "cherries", 30)],
        )
        select = SQLExecuteQueryOperator(
            task_id="select",
            conn_id=conn_id,
            sql="SELECT name, price FROM fruit WHERE price > %(least)s ORDER BY id"
            if name != "sqlite"
            else "SELECT name, price FROM fruit WHERE price > :least ORDER BY id",
            parameters={"least": 15},
        )
        columns = SQLColumnCheckOperator(
            task_id="columns",
            conn_id=conn_id,
            table="fruit",
            column_mapping={"price": {"min": {"geq_to": 10}, "null_check": {"equal_to": 0}}},
        )
        table = SQLTableCheckOperator(
            task_id="table", conn_id=conn_id, table="fruit", checks={"enough": {"check_statement": "COUNT(*) >= 3"}}
        )
        value = SQLValueCheckOperator(
            task_id="value", conn_id=conn_id, sql="SELECT price FROM fruit WHERE id = 2", pass_value=20
        )
        threshold = SQLThresholdCheckOperator(
            task_id="threshold",
            conn_id=conn_id,
            sql="SELECT price FROM fruit WHERE id = 3",
            min_threshold=25,
            max_threshold=35,
        )
        check = SQLCheckOperator(task_id="check", conn_id=conn_id, sql="SELECT count(*) FROM fruit")
        fails = SQLCheckOperator(task_id="check_fails", conn_id=conn_id, sql="SELECT 0")
        sensor = SqlSensor(
            task_id="sensor", conn_id=conn_id, sql="SELECT count(*) FROM fruit", mode="reschedule", poke_interval=1
        )
        create >> insert >> [select, columns, table, value, threshold, check, fails, sensor]
        branch(name, conn_id, insert)
    return dag


for provider in HOOKS:
    made_dag = make(provider)
    globals()[made_dag.dag_id] = made_dag


with DAG("sql_transfer", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    source = SQLExecuteQueryOperator(
        task_id="source",
        conn_id="pg",
        sql=[
            "DROP TABLE IF EXISTS cities",
            "CREATE TABLE cities (id INTEGER, name VARCHAR(40))",
            "INSERT INTO cities SELECT n, 'city ' || n FROM generate_series(1, 25) AS n",
        ],
        autocommit=True,
    )
    to_mysql = GenericTransfer(
        task_id="to_mysql",
        sql="SELECT id, name FROM cities ORDER BY id",
        source_conn_id="pg",
        destination_conn_id="maria",
        destination_table="cities",
        preoperator=["DROP TABLE IF EXISTS cities", "CREATE TABLE cities (id INTEGER, name VARCHAR(40))"],
    )
    # By pages, each read by a trigger.
    to_sqlite = GenericTransfer(
        task_id="to_sqlite",
        sql="SELECT id, name FROM cities ORDER BY id",
        source_conn_id="maria",
        destination_conn_id="lite",
        destination_table="cities",
        preoperator=["DROP TABLE IF EXISTS cities", "CREATE TABLE cities (id INTEGER, name VARCHAR(40))"],
        page_size=10,
        deferrable=True,
    )
    count = SQLExecuteQueryOperator(
        task_id="count", conn_id="lite", sql="SELECT count(*), max(name) FROM cities WHERE id > 0"
    )
    source >> to_mysql >> to_sqlite >> count
