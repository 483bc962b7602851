"""smtp: the operator, the notifier and the hook, against a server that asks for a password."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.providers.smtp.operators.smtp import EmailOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task


def fail() -> None:
    raise ValueError("no luck")


with DAG("mail", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    EmailOperator(
        task_id="operator",
        to=["ann@example.com", "bob@example.com"],
        cc="carl@example.com",
        subject="Report of {{ dag.dag_id }}",
        html_content="<b>{{ task.task_id }} says hello</b>",
    )
    PythonOperator(
        task_id="notifier",
        python_callable=fail,
        on_failure_callback=SmtpNotifier(
            to="dora@example.com",
            from_email="tradewind@example.com",
            subject="{{ ti.task_id }} failed",
            html_content="In {{ dag.dag_id }}: {{ exception }}",
        ),
    )

    @task
    def with_hook() -> None:
        with SmtpHook(smtp_conn_id="smtp_default") as hook:
            hook.send_email_smtp(
                to="eve@example.com", subject="From the hook", html_content="plain", from_email="hook@example.com"
            )

    with_hook()


SLA = {"sla": timedelta(seconds=5)}

# Airflow 2's SLAs; they do not hold for runs made by hand.
with DAG("late", schedule="@daily", start_date=datetime(2025, 1, 1), catchup=False, default_args=SLA):
    BashOperator(task_id="in_time", bash_command="true", email="nobody@example.com")
    BashOperator(task_id="slow", bash_command="sleep 12", email="fay@example.com, gil@example.com")
