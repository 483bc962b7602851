"""google, as the providers in on_others.py: started, rendered, and then no connection."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator
from airflow.providers.google.cloud.operators.gcs import GCSCreateBucketOperator
from airflow.providers.google.cloud.transfers.local_to_gcs import LocalFilesystemToGCSOperator
from airflow.sdk import DAG

NOWHERE = "nowhere"

with DAG("google", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):
    BigQueryInsertJobOperator(
        task_id="bigquery",
        gcp_conn_id=NOWHERE,
        configuration={"query": {"query": "SELECT '{{ dag.dag_id }}'", "useLegacySql": False}},
        location="EU",
    )
    GCSCreateBucketOperator(task_id="gcs", gcp_conn_id=NOWHERE, bucket_name="{{ dag.dag_id }}-bucket")
    LocalFilesystemToGCSOperator(
        task_id="to_gcs", gcp_conn_id=NOWHERE, src="/etc/{{ 'host' }}name", dst="names/{{ dag.dag_id }}", bucket="b"
    )
