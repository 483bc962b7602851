"""Arguments of provider operators and hooks that were renamed or dropped.

``old -> new`` renames, ``old -> None`` drops, a function makes new arguments from the old value. What the installed
version of a provider still takes itself is left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tradewind_guest.compat import report

#: What becomes of an argument. A function that gives the same argument with the same value changes nothing.
Change = str | None | Callable[[Any], dict[str, Any]]

#: Given in both forms, the old one counted.
_OLD_COUNTS = {"on_finish_action"}

_renamed: dict[type, Mapping[str, Change]] = {}


def pod_resources(value: Any) -> dict[str, Any]:
    """Make ``container_resources`` of the ``resources`` that pods had."""
    from kubernetes.client import models

    if value is None or not isinstance(value, Mapping):
        return {"container_resources": value}
    requests = dict(value.get("requests") or {})
    limits = dict(value.get("limits") or {})
    for key, amount in value.items():
        kind, _, name = key.partition("_")
        if kind not in ("request", "limit") or not name:
            if key in ("requests", "limits"):
                continue
            raise TypeError(
                f"KubernetesPodOperator(resources={{{key!r}: ...}}): expected request_<resource>, limit_<resource>, "
                "requests or limits; give container_resources=V1ResourceRequirements(requests=..., limits=...)"
            )
        resource = {"gpu": "nvidia.com/gpu", "ephemeral_storage": "ephemeral-storage"}.get(name, name)
        if amount is not None:
            (requests if kind == "request" else limits)[resource] = str(amount)
    return {"container_resources": models.V1ResourceRequirements(requests=requests or None, limits=limits or None)}


def pod_deletion(value: Any) -> dict[str, Any]:
    """Say by ``on_finish_action`` whether the pod is deleted."""
    return {} if value is None else {"on_finish_action": "delete_pod" if value else "keep_pod"}


def docker_mounts(value: Any) -> dict[str, Any]:
    """Make mounts of ``/host:/container[:ro]`` texts; a source that is no path is a named volume."""
    from docker.types import Mount

    mounts = []
    for text in value or []:
        source, colon, rest = str(text).partition(":")
        target, _, mode = rest.partition(":")
        if not colon or not target:
            raise TypeError(
                f"DockerOperator(volumes=[{text!r}]): expected host:container[:mode]; give mounts=[Mount(...)]"
            )
        kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
        mounts.append(Mount(target=target, source=source, type=kind, read_only="ro" in mode.split(",")))
    return {"mounts": mounts}


def container_removal(value: Any) -> dict[str, Any]:
    """Say in words when the container is removed."""
    return {"auto_remove": ("success" if value else "never") if isinstance(value, bool) else value}


def client_options(value: Any) -> dict[str, Any]:
    """Give what a hook of AWS was made with as arguments of its operator."""
    names = {"region_name": "region_name", "verify": "verify", "config": "botocore_config", "aws_conn_id": "aws_conn_id"}
    return {names[name]: given for name, given in (value or {}).items() if name in names}


def pickled_by_dill(value: Any) -> dict[str, Any]:
    """Name the library that carries arguments to another interpreter."""
    return {"serializer": "dill"} if value else {}


def replacing(value: Any) -> dict[str, Any]:
    """Say by ``method`` whether the table is emptied first."""
    return {"method": "REPLACE"} if value else {}


_POD: dict[str, Change] = {
    "resources": pod_resources,
    "is_delete_operator_pod": pod_deletion,
    "node_selectors": "node_selector",
    "xcom_push": "do_xcom_push",
    "full_pod_spec_dict": None,
    "pod_runtime_info_envs": "env_vars",
}

_DOCKER: dict[str, Change] = {
    "auto_remove": container_removal,
    "volumes": docker_mounts,
    "skip_exit_code": "skip_on_exit_code",
}

_BIGQUERY: dict[str, Change] = {"bigquery_conn_id": "gcp_conn_id", "google_cloud_storage_conn_id": "gcp_conn_id"}
_GOOGLE: dict[str, Change] = {
    "google_cloud_conn_id": "gcp_conn_id",
    "google_cloud_storage_conn_id": "gcp_conn_id",
    "bigquery_conn_id": "gcp_conn_id",
    "delegate_to": None,
}
_CHECK: dict[str, Change] = {"presto_conn_id": "conn_id", "druid_broker_conn_id": "conn_id"}
_PICKLED: dict[str, Change] = {"use_dill": pickled_by_dill}
_PROJECT: dict[str, Change] = {"project": "project_id"}
_LOCATION: dict[str, Change] = {"location": "region"}
_WAIT: dict[str, Change] = {"wait_for_completion": None, "waiter_delay": None, "waiter_max_attempts": None}
_DATE: dict[str, Change] = {"use_task_execution_day": "use_task_logical_date"}

#: ``module:Operator`` -> what became of its old arguments.
TABLE: dict[str, dict[str, Change]] = {
    "airflow.providers.cncf.kubernetes.operators.pod:KubernetesPodOperator": _POD,
    "airflow.providers.slack.operators.slack_webhook:SlackWebhookOperator": {
        "http_conn_id": "slack_webhook_conn_id",
        "link_names": None,
    },
    "airflow.providers.slack.hooks.slack_webhook:SlackWebhookHook": {
        "http_conn_id": "slack_webhook_conn_id",
        "link_names": None,
    },
    "airflow.providers.common.sql.operators.sql:SQLCheckOperator": _CHECK,
    "airflow.providers.common.sql.operators.sql:SQLIntervalCheckOperator": _CHECK,
    "airflow.providers.common.sql.operators.sql:SQLValueCheckOperator": _CHECK,
    "airflow.providers.slack.transfers.sql_to_slack_webhook:SqlToSlackWebhookOperator": {
        "slack_conn_id": "slack_webhook_conn_id"
    },
    "airflow.providers.http.operators.http:HttpOperator": {"xcom_push": "do_xcom_push"},
    "airflow.providers.standard.operators.bash:BashOperator": {
        "xcom_push": "do_xcom_push",
        "bash_cmd": "bash_command",
        "skip_exit_code": "skip_on_exit_code",
    },
    # A class without an __init__ of its own has a copy of the one above it.
    "airflow.providers.standard.operators.python:BranchExternalPythonOperator": _PICKLED,
    "airflow.providers.standard.operators.python:BranchPythonVirtualenvOperator": _PICKLED,
    "airflow.providers.standard.operators.python:ExternalPythonOperator": _PICKLED,
    "airflow.providers.standard.operators.python:PythonVirtualenvOperator": _PICKLED,
    "airflow.providers.standard.operators.trigger_dagrun:TriggerDagRunOperator": {"execution_date": "logical_date"},
    "airflow.providers.standard.operators.datetime:BranchDateTimeOperator": {
        **_DATE,
        "use_task_execution_date": "use_task_logical_date",
    },
    "airflow.providers.standard.operators.weekday:BranchDayOfWeekOperator": _DATE,
    "airflow.providers.standard.sensors.weekday:DayOfWeekSensor": _DATE,
    "airflow.providers.standard.sensors.external_task:ExternalTaskMarker": {"execution_date": "logical_date"},
    "airflow.providers.amazon.aws.operators.athena:AthenaOperator": {"max_tries": "max_polling_attempts"},
    "airflow.providers.amazon.aws.operators.batch:BatchOperator": {
        "overrides": "container_overrides",
        "status_retries": None,
    },
    "airflow.providers.amazon.aws.operators.ecs:EcsDeregisterTaskDefinitionOperator": _WAIT,
    "airflow.providers.amazon.aws.operators.ecs:EcsRegisterTaskDefinitionOperator": _WAIT,
    "airflow.providers.amazon.aws.operators.rds:RdsBaseOperator": {"hook_params": client_options},
    "airflow.providers.amazon.aws.operators.redshift_data:RedshiftDataOperator": {"await_result": "wait_for_completion"},
    "airflow.providers.amazon.aws.transfers.gcs_to_s3:GCSToS3Operator": {
        "bucket": "gcs_bucket",
        "delimiter": None,
        "google_cloud_storage_conn_id": "gcp_conn_id",
    },
    "airflow.providers.amazon.aws.transfers.glacier_to_gcs:GlacierToGCSOperator": {"delegate_to": None},
    "airflow.providers.amazon.aws.transfers.s3_to_sftp:S3ToSFTPOperator": {"s3_conn_id": "aws_conn_id"},
    "airflow.providers.amazon.aws.sensors.s3:S3KeySensor": {"s3_conn_id": "aws_conn_id"},
    "airflow.providers.amazon.aws.hooks.s3:S3Hook": {"s3_conn_id": "aws_conn_id"},
    "airflow.providers.amazon.aws.transfers.s3_to_redshift:S3ToRedshiftOperator": {"truncate_table": replacing},
    "airflow.providers.amazon.aws.transfers.local_to_s3:LocalFilesystemToS3Operator": {"s3_conn_id": "aws_conn_id"},
    "airflow.providers.apache.spark.operators.spark_submit:SparkSubmitOperator": {"connection_id": "conn_id"},
    "airflow.providers.apache.hive.operators.hive:HiveOperator": {
        "hive_conn_id": "hive_cli_conn_id",
        "run_as_owner": None,
    },
    "airflow.providers.google.cloud.operators.bigquery:BigQueryInsertJobOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryCheckOperator": _BIGQUERY,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryValueCheckOperator": _BIGQUERY,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryIntervalCheckOperator": _BIGQUERY,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryGetDataOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryCreateEmptyDatasetOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryDeleteDatasetOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryCreateTableOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.bigquery:BigQueryDeleteTableOperator": _GOOGLE,
    "airflow.providers.google.cloud.sensors.bigquery:BigQueryTableExistenceSensor": _GOOGLE,
    "airflow.providers.google.cloud.transfers.gcs_to_bigquery:GCSToBigQueryOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.bigquery_to_gcs:BigQueryToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.gcs_to_gcs:GCSToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.local_to_gcs:LocalFilesystemToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.azure_blob_to_gcs:AzureBlobStorageToGCSOperator": {
        "file_path": None,
        "delegate_to": None,
    },
    "airflow.providers.google.cloud.transfers.azure_fileshare_to_gcs:AzureFileShareToGCSOperator": {
        "wasb_conn_id": "azure_fileshare_conn_id",
        "delegate_to": None,
    },
    "airflow.providers.google.cloud.operators.gcs:GCSCreateBucketOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.gcs:GCSDeleteObjectsOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.gcs:GCSListObjectsOperator": _GOOGLE,
    "airflow.providers.google.cloud.sensors.gcs:GCSObjectExistenceSensor": {
        "google_cloud_storage_conn_id": "google_cloud_conn_id",
        "delegate_to": None,
    },
    "airflow.providers.google.cloud.hooks.bigquery:BigQueryHook": _GOOGLE,
    "airflow.providers.google.cloud.hooks.gcs:GCSHook": _GOOGLE,
    "airflow.providers.google.cloud.operators.cloud_build:CloudBuildCreateBuildOperator": {"body": "build"},
    "airflow.providers.google.cloud.operators.dataflow:DataflowRunPipelineOperator": {
        "data_pipeline_name": "pipeline_name"
    },
    "airflow.providers.google.cloud.operators.dataprep:DataprepGetJobsForJobGroupOperator": {"job_id": "job_group_id"},
    "airflow.providers.google.cloud.operators.dataproc:ClusterGenerator": {"region": None},
    "airflow.providers.google.cloud.operators.dataproc:DataprocUpdateClusterOperator": _LOCATION,
    "airflow.providers.google.cloud.sensors.dataproc:DataprocJobSensor": _LOCATION,
    "airflow.providers.google.cloud.operators.kubernetes_engine:GKEDeleteClusterOperator": {"name": "cluster_name"},
    "airflow.providers.google.cloud.operators.pubsub:PubSubCreateSubscriptionOperator": {
        "topic_project": "project_id",
        "subscription_project": "subscription_project_id",
    },
    "airflow.providers.google.cloud.operators.vertex_ai.custom_job:CustomTrainingJobBaseOperator": {"sync": None},
    "airflow.providers.google.cloud.operators.vertex_ai.hyperparameter_tuning_job:CreateHyperparameterTuningJobOperator": {
        "sync": None
    },
    "airflow.providers.google.cloud.operators.dataproc:DataprocSubmitJobOperator": {**_GOOGLE, **_LOCATION},
    "airflow.providers.google.cloud.operators.dataproc:DataprocCreateClusterOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.dataproc:DataprocDeleteClusterOperator": _GOOGLE,
    "airflow.providers.airbyte.operators.airbyte:AirbyteTriggerSyncOperator": {"api_type": None},
    "airflow.providers.airbyte.sensors.airbyte:AirbyteJobSensor": {"api_type": None},
    "airflow.providers.amazon.aws.operators.emr:EmrContainerOperator": {"max_tries": "max_polling_attempts"},
    "airflow.providers.amazon.aws.transfers.imap_attachment_to_s3:ImapAttachmentToS3Operator": {
        "s3_conn_id": "aws_conn_id",
    },
    "airflow.providers.amazon.aws.transfers.mongo_to_s3:MongoToS3Operator": {"s3_conn_id": "aws_conn_id"},
    "airflow.providers.amazon.aws.transfers.sql_to_s3:SqlToS3Operator": {
        "mysql_conn_id": "sql_conn_id",
        "pd_csv_kwargs": "pd_kwargs",
    },
    "airflow.providers.cncf.kubernetes.operators.spark_kubernetes:SparkKubernetesOperator": {
        "api_group": None,
        "api_version": None,
    },
    "airflow.providers.databricks.operators.databricks:DatabricksRunNowOperator": {
        "python_named_parameters": "python_named_params",
    },
    "airflow.providers.google.ads.transfers.ads_to_gcs:GoogleAdsToGcsOperator": {"page_size": None},
    "airflow.providers.google.cloud.operators.bigquery:BigQueryUpsertTableOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.gcs:GCSBucketCreateAclEntryOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.gcs:GCSObjectCreateAclEntryOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.adls_to_gcs:ADLSToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.bigquery_to_bigquery:BigQueryToBigQueryOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.cassandra_to_gcs:CassandraToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.gcs_to_local:GCSToLocalFilesystemOperator": _GOOGLE,
    "airflow.providers.google.cloud.transfers.sql_to_gcs:BaseSQLToGCSOperator": _GOOGLE,
    "airflow.providers.google.cloud.operators.dataproc:DataprocCreateWorkflowTemplateOperator": {"location": "region"},
    "airflow.providers.google.cloud.operators.kubernetes_engine:GKEStartPodOperator": {"regional": None},
    "airflow.providers.google.cloud.operators.pubsub:PubSubCreateTopicOperator": _PROJECT,
    "airflow.providers.google.cloud.operators.pubsub:PubSubDeleteSubscriptionOperator": _PROJECT,
    "airflow.providers.google.cloud.operators.pubsub:PubSubDeleteTopicOperator": _PROJECT,
    "airflow.providers.google.cloud.operators.pubsub:PubSubPublishMessageOperator": _PROJECT,
    "airflow.providers.google.cloud.sensors.pubsub:PubSubPullSensor": _PROJECT,
    "airflow.providers.google.cloud.operators.vertex_ai.batch_prediction_job:CreateBatchPredictionJobOperator": {
        "sync": None,
    },
    "airflow.providers.google.cloud.transfers.gdrive_to_gcs:GoogleDriveToGCSOperator": {
        "destination_bucket": "bucket_name",
        "destination_object": "object_name",
    },
    "airflow.providers.google.cloud.transfers.s3_to_gcs:S3ToGCSOperator": {"dest_gcs_conn_id": "gcp_conn_id"},
    "airflow.providers.microsoft.azure.operators.container_instances:AzureContainerInstancesOperator": {
        "network_profile": None,
    },
    "airflow.providers.slack.operators.slack:SlackAPIFileOperator": {"channel": "channels"},
    "airflow.providers.snowflake.operators.snowflake:SnowflakeCheckOperator": {"autocommit": None},
    "airflow.providers.snowflake.operators.snowflake:SnowflakeIntervalCheckOperator": {"autocommit": None},
    "airflow.providers.snowflake.operators.snowflake:SnowflakeValueCheckOperator": {"autocommit": None},
    "airflow.providers.ssh.operators.ssh:SSHOperator": {"timeout": "cmd_timeout"},
    "airflow.providers.docker.operators.docker:DockerOperator": _DOCKER,
    "airflow.providers.docker.operators.docker_swarm:DockerSwarmOperator": _DOCKER,
}


def remember(kind: type, renamed: Mapping[str, Change]) -> None:
    """Note what an operator's ``partial`` has to rename."""
    _renamed[kind] = renamed


def of_class(kind: type) -> Mapping[str, Change]:
    """Return the old arguments of a class and of those above it."""
    found: dict[str, Change] = {}
    for base in reversed(kind.__mro__):
        found.update(_renamed.get(base, {}))
    return found


def rename(operator: str, renamed: Mapping[str, Change], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return ``kwargs`` with the old arguments as those of today."""
    old_ones = renamed.keys() & kwargs.keys()
    if not old_ones:
        return kwargs
    kwargs = dict(kwargs)
    done: set[str] = set()
    for old in sorted(old_ones):
        change = renamed[old]
        value = kwargs.pop(old)
        if change is None:
            report.use(f"{operator}({old}=)", "leave it out", "it has no effect any more", argument=True)
            continue
        new = {change: value} if isinstance(change, str) else change(value)
        if new == {old: value}:
            kwargs[old] = value
            continue
        said = ", ".join(f"{name}={made!r}" if name == old else f"{name}=" for name, made in new.items())
        report.use(f"{operator}({old}=)", f"{operator}({said})" if new else "leave it out", argument=True)
        for name, made in new.items():
            if name in done:
                continue  # Two arguments became one: of BigQuery's and Storage's connection, the first counts.
            done.add(name)
            if name in kwargs and name not in _OLD_COUNTS:
                raise TypeError(
                    f"{operator}() got both {old!r} (Airflow 2) and {name!r} (its name today): give {name!r} only"
                )
            kwargs[name] = made
    return kwargs
