"""LatestOnlyOperator skips its direct tasks in old scheduled runs.

scenario:
  - wait: {count: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.sdk import DAG

with DAG(
    "latest_only_catchup",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 2),
    catchup=True,
):
    latest = LatestOnlyOperator(task_id="latest")
    a = EmptyOperator(task_id="a")
    free = EmptyOperator(task_id="free")
    latest >> a >> EmptyOperator(task_id="b")
    [a, free] >> EmptyOperator(task_id="done", trigger_rule="all_done")
