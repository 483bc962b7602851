"""BranchDayOfWeekOperator on the logical date (a Thursday)."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.weekday import BranchDayOfWeekOperator
from airflow.providers.standard.utils.weekday import WeekDay
from airflow.sdk import DAG

DAYS = {
    "name": "Thursday",
    "other": "Friday",
    "day": WeekDay.THURSDAY,
    "several": {"Monday", "Thursday"},
    "weekend": {WeekDay.SATURDAY, WeekDay.SUNDAY},
}

with DAG("branch_weekday", schedule=None):
    for name, days in DAYS.items():
        branch = BranchDayOfWeekOperator(
            task_id=f"on_{name}",
            use_task_logical_date=True,
            week_day=days,
            follow_task_ids_if_true=f"{name}_yes",
            follow_task_ids_if_false=f"{name}_no",
        )
        branch >> [EmptyOperator(task_id=f"{name}_yes"), EmptyOperator(task_id=f"{name}_no")]
