"""ApprovalOperator, rejected: what follows is skipped, or the task fails with fail_on_reject.

scenario:
  - trigger
  - wait_task: {task: ask, state: awaiting_input}
  - answer: {task: ask, options: [Reject]}
  - wait_task: {task: strict, state: awaiting_input}
  - answer: {task: strict, options: [Reject]}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

with DAG("hitl_reject", schedule=None):
    ApprovalOperator(task_id="ask", subject="Go on?") >> EmptyOperator(task_id="after")
    ApprovalOperator(task_id="strict", subject="Go on?", fail_on_reject=True) >> EmptyOperator(task_id="after_strict")
