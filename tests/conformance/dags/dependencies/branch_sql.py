"""BranchSQLOperator on a SQLite database in memory: true, false, and a value that is neither."""

import sqlite3

from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.common.sql.operators.sql import BranchSQLOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG


class MemoryHook(DbApiHook):
    """Just enough of a database."""

    conn_name_attr = "memory_conn_id"
    default_conn_name = "memory"

    def get_conn(self):
        return sqlite3.connect(":memory:")

    def get_uri(self) -> str:
        return "sqlite://"


class BranchOnMemory(BranchSQLOperator):
    """The stock operator, on that database."""

    def get_db_hook(self):
        return MemoryHook(memory_conn_id="memory")


with DAG("branch_sql", schedule=None):
    for name, sql in {
        "true": "select 1",
        "false": "select 0",
        "text": "select 'yes'",
        "strange": "select 'perhaps'",
        "nothing": "select 1 where 1 = 0",
    }.items():
        branch = BranchOnMemory(
            task_id=f"on_{name}",
            conn_id="memory",
            sql=sql,
            follow_task_ids_if_true=[f"{name}_yes"],
            follow_task_ids_if_false=[f"{name}_no"],
        )
        branch >> [EmptyOperator(task_id=f"{name}_yes"), EmptyOperator(task_id=f"{name}_no")]
