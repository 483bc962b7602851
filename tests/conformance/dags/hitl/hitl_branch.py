"""HITLBranchOperator: the answer chooses the branch, by the options' mapping.

scenario:
  - trigger
  - wait_task: {task: choose, state: awaiting_input}
  - answer: {task: choose, options: [to the right, middle]}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import HITLBranchOperator
from airflow.sdk import DAG

with DAG("hitl_branch", schedule=None):
    HITLBranchOperator(
        task_id="choose",
        subject="Where to?",
        options=["left", "to the right", "middle"],
        options_mapping={"to the right": "right"},
        multiple=True,
    ) >> [EmptyOperator(task_id=name) for name in ("left", "right", "middle")]
