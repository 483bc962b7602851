"""wait_for_past_depends_before_skipping: a task is not skipped before its past is done.

scenario:
  - wait: {count: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG

with DAG(
    "past_wait_before_skip",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 2),
    catchup=True,
):
    stop = ShortCircuitOperator(
        task_id="stop",
        python_callable=lambda ds: ds != "2026-01-02",
        op_kwargs={"ds": "{{ ds }}"},
        ignore_downstream_trigger_rules=False,
    )
    a = EmptyOperator(task_id="a", depends_on_past=True, wait_for_past_depends_before_skipping=True)
    stop >> a >> EmptyOperator(task_id="b", depends_on_past=True, wait_for_past_depends_before_skipping=True)
