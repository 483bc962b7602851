"""BranchDateTimeOperator on the logical date: inside, below, above, and with open ends."""

from datetime import datetime, time

from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

WINDOWS = {
    "inside": (datetime(2025, 12, 31), datetime(2026, 1, 2)),
    "below": (datetime(2026, 2, 1), datetime(2026, 3, 1)),
    "above": (datetime(2025, 1, 1), datetime(2025, 2, 1)),
    "open_end": (datetime(2025, 12, 31), None),
    "open_start": (None, datetime(2025, 12, 31)),
    "times": (time(23, 0), time(1, 0)),
}

with DAG("branch_datetime", schedule=None):
    for name, (lower, upper) in WINDOWS.items():
        branch = BranchDateTimeOperator(
            task_id=f"on_{name}",
            use_task_logical_date=True,
            target_lower=lower,
            target_upper=upper,
            follow_task_ids_if_true=[f"{name}_yes"],
            follow_task_ids_if_false=[f"{name}_no"],
        )
        branch >> [EmptyOperator(task_id=f"{name}_yes"), EmptyOperator(task_id=f"{name}_no")]
