"""Priority weights by each rule, over a diamond; they show in the task instances.

options:
  dags: [weights_downstream, weights_upstream, weights_absolute]
scenario:
  - trigger: {dag: weights_downstream}
  - trigger: {dag: weights_upstream}
  - trigger: {dag: weights_absolute}
  - wait
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup

for rule in ("downstream", "upstream", "absolute"):
    with DAG(f"weights_{rule}", schedule=None, default_args={"weight_rule": rule}) as dag:
        a = EmptyOperator(task_id="a", priority_weight=2)
        b, c = EmptyOperator(task_id="b", priority_weight=3), EmptyOperator(task_id="c", priority_weight=5)
        d = EmptyOperator(task_id="d", priority_weight=7)
        with TaskGroup("group") as group:
            EmptyOperator(task_id="x") >> EmptyOperator(task_id="y", priority_weight=11)
        a >> [b, c] >> d >> group
        EmptyOperator(task_id="own_rule", priority_weight=13, weight_rule="absolute") >> d
        EmptyOperator(task_id="huge", priority_weight=2**31 - 1, weight_rule="absolute")
    globals()[dag.dag_id] = dag
