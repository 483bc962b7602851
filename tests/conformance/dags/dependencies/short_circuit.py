"""ShortCircuitOperator skips everything below, whatever the trigger rules."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG

with DAG("short_circuit", schedule=None):
    stop = ShortCircuitOperator(task_id="stop", python_callable=lambda: 0)
    go_on = ShortCircuitOperator(task_id="go_on", python_callable=lambda: "yes")
    a, b, c = (EmptyOperator(task_id=name) for name in "abc")
    always = EmptyOperator(task_id="always", trigger_rule="always")
    done = EmptyOperator(task_id="done", trigger_rule="all_done")
    d, e = EmptyOperator(task_id="d"), EmptyOperator(task_id="e")
    stop >> a >> b >> [done, always]
    go_on >> d >> [done, e]
    stop >> c
