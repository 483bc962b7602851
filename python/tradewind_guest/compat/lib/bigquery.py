"""Operators of BigQuery that took a query or a table apart into arguments: today they take it as the API has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airflow.providers.google.cloud.operators.bigquery import BigQueryCreateTableOperator, BigQueryInsertJobOperator

#: What stands between the parts of a table's name, but not within a template.
_SEPARATOR = re.compile(r"[.:](?![^{]*\}\})")


def _table(reference: str, project: str | None, argument: str = "destination_dataset_table") -> dict[str, str]:
    """Take ``project.dataset.table``, ``project:dataset.table`` or ``dataset.table`` apart."""
    # The name of a project may have a dot or a colon of its own.
    ends = [found.start() for found in _SEPARATOR.finditer(reference)][-2:]
    if not ends:
        raise ValueError(f"{argument}={reference!r}: expected [project.]dataset.table")
    first = ends[0] if len(ends) == 2 else -1
    named = {
        "projectId": reference[:first] if first > 0 else project,
        "datasetId": reference[first + 1 : ends[-1]],
        "tableId": reference[ends[-1] + 1 :],
    }
    return {key: value for key, value in named.items() if value}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class BigQueryExecuteQueryOperator(BigQueryInsertJobOperator):
    """Runs a query, with the arguments that this operator had."""

    def __init__(
        self,
        *,
        sql: str | Iterable[str] | None = None,
        bql: str | None = None,
        destination_dataset_table: str | None = None,
        write_disposition: str = "WRITE_EMPTY",
        create_disposition: str = "CREATE_IF_NEEDED",
        allow_large_results: bool | None = False,
        flatten_results: bool | None = None,
        use_legacy_sql: bool = True,
        maximum_billing_tier: int | None = None,
        maximum_bytes_billed: float | None = None,
        schema_update_options: Iterable[str] | None = None,
        query_params: list[dict[str, Any]] | None = None,
        labels: dict[str, str] | None = None,
        priority: str = "INTERACTIVE",
        time_partitioning: dict[str, Any] | None = None,
        cluster_fields: list[str] | None = None,
        encryption_configuration: dict[str, Any] | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        text = sql if sql is not None else bql
        if text is not None and not isinstance(text, str):
            text = ";\n".join(statement.rstrip().rstrip(";") for statement in text)
        destination = _table(destination_dataset_table, project_id) if destination_dataset_table else None
        query = {
            "query": text,
            "useLegacySql": use_legacy_sql,
            "priority": priority,
            "destinationTable": destination,
            "writeDisposition": write_disposition if destination else None,
            "createDisposition": create_disposition if destination else None,
            "allowLargeResults": allow_large_results or None,
            "flattenResults": flatten_results,
            "maximumBillingTier": maximum_billing_tier,
            "maximumBytesBilled": str(int(maximum_bytes_billed)) if maximum_bytes_billed is not None else None,
            "schemaUpdateOptions": list(schema_update_options) if schema_update_options else None,
            "queryParameters": query_params,
            "timePartitioning": time_partitioning,
            "clustering": {"fields": cluster_fields} if cluster_fields else None,
            "destinationEncryptionConfiguration": encryption_configuration,
        }
        configuration: dict[str, Any] = {"query": _given(query)}
        if labels:
            configuration["labels"] = labels
        super().__init__(configuration=configuration, project_id=project_id, **kwargs)


class BigQueryCreateEmptyTableOperator(BigQueryCreateTableOperator):
    """Makes a table or a view, with the arguments that this operator had."""

    def __init__(
        self,
        *,
        table_resource: dict[str, Any] | None = None,
        schema_fields: list[dict[str, Any]] | None = None,
        time_partitioning: dict[str, Any] | None = None,
        cluster_fields: list[str] | None = None,
        labels: dict[str, str] | None = None,
        view: dict[str, Any] | None = None,
        materialized_view: dict[str, Any] | None = None,
        encryption_configuration: dict[str, Any] | None = None,
        exists_ok: bool | None = None,
        **kwargs: Any,
    ) -> None:
        made = {
            "schema": {"fields": schema_fields} if schema_fields else None,
            "timePartitioning": time_partitioning or None,
            "clustering": {"fields": cluster_fields} if cluster_fields else None,
            "labels": labels,
            "view": view,
            "materializedView": materialized_view,
            "encryptionConfiguration": encryption_configuration,
        }
        if exists_ok is not None:
            kwargs["if_exists"] = "ignore" if exists_ok else "log"
        if schema_fields:
            kwargs.pop("gcs_schema_object", None)
        super().__init__(table_resource=table_resource or _given(made), **_one_connection(kwargs))


class BigQueryCreateExternalTableOperator(BigQueryCreateTableOperator):
    """Makes a table of files in a bucket, with the arguments that this operator had."""

    def __init__(
        self,
        *,
        bucket: str | None = None,
        source_objects: list[str] | None = None,
        destination_project_dataset_table: str | None = None,
        table_resource: dict[str, Any] | None = None,
        schema_fields: list[dict[str, Any]] | None = None,
        schema_object: str | None = None,
        gcs_schema_bucket: str | None = None,
        source_format: str = "CSV",
        autodetect: bool | None = None,
        compression: str | None = None,
        skip_leading_rows: int | None = None,
        field_delimiter: str = ",",
        max_bad_records: int | None = None,
        quote_character: str | None = None,
        allow_quoted_newlines: bool | None = None,
        allow_jagged_rows: bool | None = None,
        src_fmt_configs: dict[str, Any] | None = None,
        labels: dict[str, str] | None = None,
        encryption_configuration: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if table_resource is None:
            if not (bucket and source_objects and destination_project_dataset_table):
                raise ValueError(
                    "BigQueryCreateExternalTableOperator needs bucket=, source_objects= and "
                    "destination_project_dataset_table=, or table_resource="
                )
            options = {
                "fieldDelimiter": field_delimiter,
                "skipLeadingRows": skip_leading_rows,
                "quote": quote_character,
                "allowQuotedNewlines": allow_quoted_newlines,
                "allowJaggedRows": allow_jagged_rows,
            }
            external = {
                "sourceUris": [f"gs://{bucket}/{name}" for name in source_objects],
                "sourceFormat": source_format,
                "autodetect": autodetect,
                "compression": compression,
                "maxBadRecords": max_bad_records,
                "csvOptions": _given(options) if source_format == "CSV" else None,
                **(src_fmt_configs or {}),
            }
            table_resource = _given(
                {
                    "tableReference": _table(
                        destination_project_dataset_table, None, "destination_project_dataset_table"
                    ),
                    "schema": {"fields": schema_fields} if schema_fields else None,
                    "externalDataConfiguration": _given(external),
                    "labels": labels,
                    "encryptionConfiguration": encryption_configuration,
                }
            )
            if schema_object and not schema_fields and source_format != "DATASTORE_BACKUP":
                kwargs["gcs_schema_object"] = f"gs://{gcs_schema_bucket or bucket}/{schema_object}"
        reference = table_resource.get("tableReference") or {}
        if project := reference.get("projectId"):
            kwargs.setdefault("project_id", project)
        super().__init__(
            dataset_id=reference.get("datasetId"),
            table_id=reference.get("tableId"),
            table_resource=table_resource,
            # It left a table alone that was there already.
            **{"if_exists": "ignore", **_one_connection(kwargs)},
        )


def _one_connection(kwargs: dict[str, Any]) -> dict[str, Any]:
    if (connection := kwargs.pop("bigquery_conn_id", None)) is not None:
        kwargs["gcp_conn_id"] = connection
    kwargs.pop("delegate_to", None)
    return kwargs
