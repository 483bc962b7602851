"""A DAG without tasks: its run is over at once."""

from airflow.sdk import DAG

with DAG("empty_dag", schedule=None):
    pass
