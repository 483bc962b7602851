"""wait_for_downstream: a task waits for the direct downstream tasks of the run before.

scenario:
  - variable: {key: wait_for_downstream, value: "no"}
  - wait: {count: 1}
  - settle: {seconds: 3}
  - note_states: {run_id: "scheduled__2026-01-02T00:00:00+00:00"}
  - mark: {run_id: "scheduled__2026-01-01T00:00:00+00:00", task: below, state: success}
  - variable: {key: wait_for_downstream, value: "yes"}
  - wait: {count: 2}
"""

from datetime import datetime

from airflow.sdk import DAG, Variable, task

with DAG(
    "wait_for_downstream",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    end_date=datetime(2026, 1, 2),
    catchup=True,
):

    @task(wait_for_downstream=True)
    def first() -> None: ...

    @task
    def below() -> None:
        if Variable.get("wait_for_downstream") != "yes":
            raise ValueError("not yet")

    @task(trigger_rule="all_done")
    def far_below() -> None: ...

    first() >> below() >> far_below()
