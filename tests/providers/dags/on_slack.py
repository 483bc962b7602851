"""slack: web hooks and the API, against a server that stands in for Slack."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.slack.notifications.slack import SlackNotifier
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.providers.slack.operators.slack import SlackAPIPostOperator
from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator
from airflow.providers.slack.transfers.sql_to_slack_webhook import SqlToSlackWebhookOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def fail() -> None:
    raise ValueError("no luck")


with DAG(
    "slack",
    schedule=None,
    start_date=datetime(2025, 1, 1),
    tags=["providers"],
    on_failure_callback=SlackWebhookNotifier(slack_webhook_conn_id="slack_hook", text="{{ dag.dag_id }} failed"),
):
    SlackWebhookOperator(
        task_id="webhook",
        slack_webhook_conn_id="slack_hook",
        message="hello from {{ task.task_id }}",
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "*{{ dag.dag_id }}*"}}],
    )
    SlackAPIPostOperator(
        task_id="api", slack_conn_id="slack_api", channel="#general", text="posted by {{ task.task_id }}"
    )
    SqlToSlackWebhookOperator(
        task_id="rows",
        sql_conn_id="pg",
        slack_webhook_conn_id="slack_hook",
        sql="SELECT 42 AS answer",
        slack_message="answer {{ results_df['answer'][0] }}",
    )
    PythonOperator(
        task_id="fails",
        python_callable=fail,
        on_failure_callback=[
            SlackWebhookNotifier(slack_webhook_conn_id="slack_hook", text="{{ ti.task_id }}: {{ exception }}"),
            SlackNotifier(slack_conn_id="slack_api", channel="#alerts", text="{{ ti.task_id }} is down"),
        ],
    )
