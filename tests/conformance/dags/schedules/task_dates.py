"""start_date and end_date of tasks: a DAG begins with its earliest task; a task is not run before its own start.

scenario:
  - wait: {count: 3}
  - settle: {seconds: 2}
"""

from datetime import datetime

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("task_dates", schedule="@daily", start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 3), catchup=True):
    a = PythonOperator(task_id="a", python_callable=print)
    late = PythonOperator(task_id="late", python_callable=print, start_date=datetime(2026, 1, 2))
    ends = PythonOperator(task_id="ends", python_callable=print, end_date=datetime(2026, 1, 1))
    a >> PythonOperator(task_id="below", python_callable=print)
