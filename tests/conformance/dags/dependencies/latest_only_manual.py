"""LatestOnlyOperator skips nothing in a manual run."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.sdk import DAG

with DAG("latest_only_manual", schedule=None):
    LatestOnlyOperator(task_id="latest") >> EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
