"""Clear a task of several runs: past, future, a range of dates.

scenario:
  - wait: {count: 4}
  - clear: {run_id: "scheduled__2026-01-02T00:00:00+00:00", tasks: [a], past: true, dry_run: true}
  - clear: {run_id: "scheduled__2026-01-02T00:00:00+00:00", tasks: [a], future: true, dry_run: true}
  - clear: {run_id: "scheduled__2026-01-02T00:00:00+00:00", tasks: [a], past: true, future: true, dry_run: true}
  - clear: {start_date: "2026-01-02T00:00:00Z", end_date: "2026-01-03T00:00:00Z", dry_run: true}
  - clear: {run_id: "scheduled__2026-01-03T00:00:00+00:00", tasks: [a], future: true}
  - wait: {count: 4}
"""

from datetime import datetime

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG(
    "clear_past_future", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 4), catchup=True
):
    PythonOperator(task_id="a", python_callable=print) >> PythonOperator(task_id="b", python_callable=print)
