"""The run ids that are made when none is given: with a logical date, and without.

options:
  dags: [trigger_generated_id, trigger_generated_none]
scenario:
  - trigger: {run_id: null, logical_date: "2026-01-01T00:00:00Z"}
  - trigger: {dag: trigger_generated_none, run_id: null, logical_date: null}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for dag_id in ("trigger_generated_id", "trigger_generated_none"):
    with DAG(dag_id, schedule=None) as dag:
        EmptyOperator(task_id="a")
    globals()[dag_id] = dag
