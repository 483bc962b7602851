"""Labels on edges change nothing in what runs."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG, Label

with DAG("edge_labels", schedule=None):
    choose = BranchPythonOperator(task_id="choose", python_callable=lambda: "big")
    big, small = EmptyOperator(task_id="big"), EmptyOperator(task_id="small")
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    choose >> Label("many rows") >> big >> join
    choose >> Label("few rows") >> small >> Label("and back") >> join
