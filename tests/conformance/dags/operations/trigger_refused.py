"""What a trigger is refused for: an id twice, a logical date twice, a bad id; and a run without a logical date.

scenario:
  - trigger: {run_id: first, logical_date: "2026-01-01T00:00:00Z"}
  - wait
  - trigger: {run_id: first, logical_date: "2026-01-02T00:00:00Z", expect: rejected}
  - trigger: {run_id: second, logical_date: "2026-01-01T00:00:00Z", expect: rejected}
  - trigger: {run_id: "with a blank", logical_date: "2026-01-03T00:00:00Z", expect: rejected}
  - trigger: {run_id: "scheduled__2026-01-04T00:00:00+00:00", logical_date: "2026-01-04T00:00:00Z", expect: rejected}
  - trigger: {run_id: none_given, logical_date: null}
  - wait
"""

from airflow.sdk import DAG, get_current_context, task

with DAG("trigger_refused", schedule=None):

    @task
    def look() -> dict:
        context = get_current_context()
        return {
            name: name in context for name in ("logical_date", "ds", "ts", "data_interval_start", "run_id", "dag_run")
        }

    look()
