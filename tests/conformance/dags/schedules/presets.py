"""@daily, @weekly, @monthly, @quarterly, @yearly and @hourly with catchup.

options:
  dags: [presets_hourly, presets_daily, presets_weekly, presets_monthly, presets_quarterly, presets_yearly]
scenario:
  - wait: {dag: presets_hourly, count: 4}
  - wait: {dag: presets_daily, count: 3}
  - wait: {dag: presets_weekly, count: 2}
  - wait: {dag: presets_monthly, count: 2}
  - wait: {dag: presets_quarterly, count: 2}
  - wait: {dag: presets_yearly, count: 2}
  - settle: {seconds: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for name, start, end in (
    ("hourly", datetime(2026, 1, 1), datetime(2026, 1, 1, 3)),
    ("daily", datetime(2026, 1, 1), datetime(2026, 1, 3)),
    ("weekly", datetime(2026, 1, 1), datetime(2026, 1, 11)),
    ("monthly", datetime(2025, 12, 15), datetime(2026, 2, 15)),
    ("quarterly", datetime(2025, 9, 15), datetime(2026, 2, 15)),
    ("yearly", datetime(2024, 6, 1), datetime(2026, 6, 1)),
):
    with DAG(f"presets_{name}", schedule=f"@{name}", start_date=start, end_date=end, catchup=True) as dag:
        EmptyOperator(task_id="a")
    globals()[dag.dag_id] = dag
