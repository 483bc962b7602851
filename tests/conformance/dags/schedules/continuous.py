"""@continuous: a run after the other; it ends at the end of its data interval; two at once are an import error.

scenario:
  - wait_journal: {lines: 3}
  - pause
  - settle: {seconds: 3}
options:
  keep: 3
"""

from datetime import datetime

from airflow.sdk import DAG, task
from conformance_tools import count, note

with DAG("continuous", schedule="@continuous", start_date=datetime(2026, 1, 1), max_active_runs=1):

    @task
    def act() -> None:
        number = count("continuous", "runs")
        if number <= 3:
            note("continuous", "runs", number=number)

    act()
