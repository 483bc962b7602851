"""What a run sees of earlier runs: the last success, the previous run, their dates.

scenario:
  - wait: {count: 2}
"""

from datetime import datetime

from airflow.sdk import DAG, get_current_context, task

with DAG(
    "tpl_previous",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 2),
    catchup=True,
    max_active_runs=1,
):

    @task
    def look() -> dict:
        context = get_current_context()
        names = (
            "prev_data_interval_start_success",
            "prev_data_interval_end_success",
            "prev_start_date_success",
            "prev_end_date_success",
        )
        previous = context["ti"].get_previous_dagrun(state=None)
        return {
            **{name: str(context[name]) for name in names},
            "previous": previous.run_id if previous else None,
            "count": context["ti"].get_dr_count(dag_id="tpl_previous", states=["success"]),
        }

    look()
