"""Callbacks that no task process runs."""

import datetime
import os
import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Variable
from airflow.sdk.bases.notifier import BaseNotifier


def tell(what):
    def callback(context):
        ti = context.get("ti")
        print(what, context["reason"], context["run_id"], context["dag_run"].state.value, ti and ti.task_id)

    return callback


def broken(context):
    raise RuntimeError("the callback is broken")


def tell_task(context):
    print("task", context["ti"].task_id, context["ti"].try_number, context["params"]["p"], context["exception"])


def late(text, context):
    print("late", text, context["dag_run"]["run_id"], Variable.get("greeting", default="none"))


async def late_async(**kwargs):
    print("late async", kwargs["context"]["deadline"]["id"])


async def no_context(text):
    print("no context", text)


class Notifier(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text, **kwargs):
        super().__init__(**kwargs)
        self.text = text

    def notify(self, context):
        print("notified", self.text)


common = {"start_date": datetime.datetime(2026, 1, 1), "params": {"p": 5}}

with DAG("called_back", on_success_callback=tell("success"), on_failure_callback=[broken, tell("failure")], **common):
    EmptyOperator(
        task_id="lost", on_failure_callback=tell_task, on_retry_callback=[tell_task, broken], email="team@example.org"
    )

with DAG("hangs", on_failure_callback=lambda context: time.sleep(1000), **common):
    EmptyOperator(task_id="t")

with DAG("exits", on_failure_callback=lambda context: os._exit(9), **common):
    EmptyOperator(task_id="t")
