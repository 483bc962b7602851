"""No answer in time: the defaults are taken, or without any the task fails."""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

with DAG("hitl_timeout", schedule=None):
    HITLOperator(
        task_id="defaults", subject="?", options=["a", "b"], defaults="b", response_timeout=timedelta(seconds=5)
    )
    HITLOperator(task_id="none", subject="?", options=["a", "b"], response_timeout=timedelta(seconds=5))
    HITLOperator(
        task_id="several",
        subject="?",
        options=["a", "b", "c"],
        defaults=["a", "c"],
        multiple=True,
        response_timeout=timedelta(seconds=5),
    )
