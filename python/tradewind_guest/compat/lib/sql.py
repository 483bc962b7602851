"""SQL operators of single databases: ``SQLExecuteQueryOperator`` with the old names of its arguments."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator


def _operator(name: str, conn_argument: str, default: str, **hook_arguments: str) -> Any:
    """Make an operator whose connection is ``conn_argument``; ``hook_arguments`` go to the hook, renamed."""

    def __init__(self: Any, **kwargs: Any) -> None:
        connection = kwargs.pop(conn_argument, None)
        if kwargs.get("conn_id") is None:
            kwargs["conn_id"] = connection or default
        hook_params = dict(kwargs.pop("hook_params", None) or {})
        for old, new in hook_arguments.items():
            value = kwargs.pop(old, None)
            if value is not None:
                hook_params[new] = _server_options(value) if new == "options" else value
        SQLExecuteQueryOperator.__init__(self, **kwargs, hook_params=hook_params or None)

    # The SDK reads from it what may be given, by name, by default_args or by partial().
    __init__.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter("self", Parameter.POSITIONAL_OR_KEYWORD),
            *(
                Parameter(argument, Parameter.KEYWORD_ONLY, default=None)
                for argument in (conn_argument, *hook_arguments)
            ),
            Parameter("kwargs", Parameter.VAR_KEYWORD),
        ]
    )
    body = {"__doc__": f"SQLExecuteQueryOperator with {conn_argument}.", "__module__": __name__, "__init__": __init__}
    return type(SQLExecuteQueryOperator)(name, (SQLExecuteQueryOperator,), body)


def _server_options(value: Any) -> Any:
    """Write parameters of a PostgreSQL session as its driver takes them."""
    return " ".join(f"-c {name}={setting}" for name, setting in value.items()) if isinstance(value, dict) else value


PostgresOperator = _operator("PostgresOperator", "postgres_conn_id", "postgres_default", runtime_parameters="options")
MySqlOperator = _operator("MySqlOperator", "mysql_conn_id", "mysql_default")
SqliteOperator = _operator("SqliteOperator", "sqlite_conn_id", "sqlite_default")
MsSqlOperator = _operator("MsSqlOperator", "mssql_conn_id", "mssql_default")
OracleOperator = _operator("OracleOperator", "oracle_conn_id", "oracle_default")
JdbcOperator = _operator("JdbcOperator", "jdbc_conn_id", "jdbc_default")
TrinoOperator = _operator("TrinoOperator", "trino_conn_id", "trino_default")
PrestoOperator = _operator("PrestoOperator", "presto_conn_id", "presto_default")
VerticaOperator = _operator("VerticaOperator", "vertica_conn_id", "vertica_default")
ExasolOperator = _operator("ExasolOperator", "exasol_conn_id", "exasol_default", schema="schema")
RedshiftSQLOperator = _operator("RedshiftSQLOperator", "redshift_conn_id", "redshift_default")
SnowflakeOperator = _operator(
    "SnowflakeOperator",
    "snowflake_conn_id",
    "snowflake_default",
    warehouse="warehouse",
    database="database",
    role="role",
    schema="schema",
    authenticator="authenticator",
    session_parameters="session_parameters",
)
