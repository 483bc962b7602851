"""Providers whose services cannot be had here: their operators start, render their templates, and find no connection."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.providers.databricks.operators.databricks_sql import DatabricksSqlOperator
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.mongo.sensors.mongo import MongoSensor
from airflow.providers.snowflake.operators.snowflake import SnowflakeSqlApiOperator
from airflow.sdk import DAG

NOWHERE = "nowhere"

with DAG("others", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    SnowflakeSqlApiOperator(
        task_id="snowflake", snowflake_conn_id=NOWHERE, sql="SELECT '{{ dag.dag_id }}'", statement_count=1
    )
    SQLExecuteQueryOperator(task_id="snowflake_sql", conn_id="snowflake_nowhere", sql="SELECT '{{ dag.dag_id }}'")
    DatabricksSubmitRunOperator(
        task_id="databricks",
        databricks_conn_id=NOWHERE,
        json={"notebook_task": {"notebook_path": "/{{ dag.dag_id }}"}, "existing_cluster_id": "1"},
    )
    DatabricksSqlOperator(
        task_id="databricks_sql", databricks_conn_id=NOWHERE, sql="SELECT '{{ dag.dag_id }}'", http_path="/sql"
    )
    DbtCloudRunJobOperator(
        task_id="dbt", dbt_cloud_conn_id=NOWHERE, job_id=7, trigger_reason="by {{ dag.dag_id }}", account_id=1
    )
    DockerOperator(
        task_id="docker",
        docker_conn_id=NOWHERE,
        image="python:{{ '3' }}",
        command="echo {{ dag.dag_id }}",
        environment={"DAG": "{{ dag.dag_id }}"},
    )
    MongoSensor(
        task_id="mongo", mongo_conn_id=NOWHERE, collection="{{ dag.dag_id }}", query={"name": "{{ task.task_id }}"},
        timeout=5,
    )
    SparkSubmitOperator(
        task_id="spark", conn_id=NOWHERE, application="/jobs/{{ dag.dag_id }}.py", application_args=["{{ run_id }}"]
    )
