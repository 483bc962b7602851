"""Transfers to Slack of single databases: ``SqlToSlackWebhookOperator`` with the old names of its arguments."""

from __future__ import annotations

from typing import Any

from airflow.providers.slack.transfers.sql_to_slack_webhook import SqlToSlackWebhookOperator


class SnowflakeToSlackOperator(SqlToSlackWebhookOperator):
    """Sends the result of a query of Snowflake."""

    def __init__(
        self,
        *,
        snowflake_conn_id: str = "snowflake_default",
        slack_conn_id: str = "slack_default",
        warehouse: str | None = None,
        database: str | None = None,
        schema: str | None = None,
        role: str | None = None,
        **kwargs: Any,
    ) -> None:
        asked = {"warehouse": warehouse, "database": database, "schema": schema, "role": role}
        hook_params = {name: value for name, value in asked.items() if value is not None}
        kwargs.pop("slack_token", None)
        super().__init__(
            sql_conn_id=snowflake_conn_id, slack_webhook_conn_id=slack_conn_id, sql_hook_params=hook_params, **kwargs
        )


class PrestoToSlackOperator(SqlToSlackWebhookOperator):
    """Sends the result of a query of Presto."""

    def __init__(
        self, *, presto_conn_id: str = "presto_default", slack_conn_id: str = "slack_default", **kwargs: Any
    ) -> None:
        kwargs.pop("slack_token", None)
        super().__init__(sql_conn_id=presto_conn_id, slack_webhook_conn_id=slack_conn_id, **kwargs)
