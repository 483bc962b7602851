"""A branch skips what it did not choose, but not what lies downstream of its choice too."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG

with DAG("branch_python", schedule=None):
    choose = BranchPythonOperator(task_id="choose", python_callable=lambda: "left")
    left, right = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
    after_left, after_right = EmptyOperator(task_id="after_left"), EmptyOperator(task_id="after_right")
    join_strict = EmptyOperator(task_id="join_strict")
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    choose >> left >> after_left >> [join, join_strict]
    choose >> right >> after_right >> [join, join_strict]
    choose >> join
