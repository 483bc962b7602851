"""ApprovalOperator, approved.

scenario:
  - trigger
  - wait_task: {task: ask, state: awaiting_input}
  - answer: {task: ask, options: [Approve]}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

with DAG("hitl_approve", schedule=None):
    ApprovalOperator(task_id="ask", subject="May {{ dag.dag_id }} go on?", body="On {{ ds }}.") >> EmptyOperator(
        task_id="after"
    )
