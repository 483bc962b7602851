"""Tasks that wait without a slot, with retry policies, callbacks and asset events."""

import asyncio
import datetime

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator, Metadata, task
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.triggers.base import BaseTrigger, TriggerEvent


class Waits(BaseTrigger):
    def __init__(self, seconds, moment=None):
        super().__init__()
        self.seconds, self.moment = seconds, moment

    def serialize(self):
        return "own_triggers.Waits", {"seconds": self.seconds, "moment": self.moment}

    async def run(self):
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(self.moment)


class Defers(BaseOperator):
    def execute(self, context):
        self.defer(
            trigger=Waits(1, datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)),
            method_name="go_on",
            kwargs={"since": datetime.timedelta(hours=1)},
            timeout=datetime.timedelta(seconds=90),
        )

    def go_on(self, context, since, event):
        return [since.total_seconds(), event.isoformat() if event else None]


def raise_(error):
    raise error


def say(name):
    def callback(context):
        print(f"{name}: {context['ti'].task_id} {context.get('exception')}")

    return callback


POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=ValueError, action=RetryAction.FAIL, reason="no use"),
        RetryRule(
            exception=KeyError, action=RetryAction.RETRY, retry_delay=datetime.timedelta(seconds=7.5), reason="wait a bit"
        ),
    ]
)

with DAG("waits", start_date=datetime.datetime(2026, 1, 1), params={"p": 1}):
    Defers(task_id="defers")
    DateTimeSensorAsync(task_id="until", target_time="2031-02-03T04:05:06.789012+02:00")
    ApprovalOperator(
        task_id="approve", subject="Go?", defaults=["Reject"], execution_timeout=None,
        response_timeout=datetime.timedelta(seconds=30),
    )
    for name, error in (("policy_fail", ValueError("v")), ("policy_retry", KeyError("k")), ("policy_default", OSError("o"))):
        PythonOperator(task_id=name, python_callable=raise_, op_args=[error], retry_policy=POLICY, retries=2)
    hooks = {
        "on_execute_callback": say("execute"),
        "on_success_callback": [say("success"), say("success too")],
        "on_failure_callback": say("failure"),
        "on_retry_callback": say("retry"),
        "on_skipped_callback": say("skipped"),
    }
    PythonOperator(task_id="calls_success", python_callable=lambda: None, **hooks)
    PythonOperator(
        task_id="calls_failure", python_callable=raise_, op_args=[ValueError("broken")], email="team@example.org", **hooks
    )

    @task.skip_if(lambda context: True)
    @task(**hooks)
    def calls_skipped():
        pass

    calls_skipped()

    A, B, X = Asset("a", uri="s3://bucket/a"), Asset("b", uri="s3://bucket/b"), AssetAlias("x")

    @task(outlets=[A, X], inlets=[B])
    def updates(outlet_events=None, inlet_events=None):
        outlet_events[A].extra = {"rows": 3}
        outlet_events[X].add(B, extra={"n": 1})
        yield Metadata(A, extra={"more": True})
        return [event.extra for event in inlet_events[B]]

    updates()

    @task
    def consumed(triggering_asset_events=None):
        return [
            [event.asset.name, event.extra, event.source_task_id, [alias.name for alias in event.source_aliases]]
            for event in triggering_asset_events[A]
        ]

    consumed()

    @task
    def asks(ti=None, task_state_store=None):
        task_state_store.set("seen", {"n": 1})
        kept = task_state_store.get("seen")
        task_state_store.delete("seen")
        missing = task_state_store.get("seen")
        previous = ti.get_previous_ti()
        return {
            "kept": kept,
            "missing": missing,
            "previous": previous and [previous.run_id, previous.state, previous.duration],
            "breadcrumbs": list(ti.get_task_breadcrumbs(dag_id="waits", run_id="run_0")),
            "dag": ti.get_dag("waits").tags,
        }

    asks()

    @task(map_index_template="number {{ n }}")
    def mapped(n):
        return n

    numbers = mapped.expand(n=[10, 20])

    @task
    def collect(values):
        return sorted(values)

    collect(numbers)

    @task
    def lengthy():
        return {"a": 1, "b": 2, "c": 3}

    @task
    def over(pair):
        return list(pair)

    over.expand(pair=lengthy())
