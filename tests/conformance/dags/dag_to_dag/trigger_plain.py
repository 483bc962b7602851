"""TriggerDagRunOperator: conf, run id, logical date; it does not wait.

options:
  dags: [trigger_plain, trigger_plain_target]
scenario:
  - trigger
  - wait: {dag: trigger_plain}
  - wait: {dag: trigger_plain_target, count: 2}
"""

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, get_current_context, task

with DAG("trigger_plain", schedule=None):
    TriggerDagRunOperator(
        task_id="with_all",
        trigger_dag_id="trigger_plain_target",
        trigger_run_id="from_{{ run_id }}",
        logical_date="{{ logical_date }}",
        conf={"day": "{{ ds }}", "number": 3},
    )
    TriggerDagRunOperator(task_id="plain", trigger_dag_id="trigger_plain_target", logical_date=None)

with DAG("trigger_plain_target", schedule=None):

    @task
    def look() -> dict:
        run = get_current_context()["dag_run"]
        return {"conf": run.conf, "run_type": str(run.run_type)}

    look()
