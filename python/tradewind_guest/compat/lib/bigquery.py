"""``BigQueryExecuteQueryOperator``: a job of ``BigQueryInsertJobOperator`` with a query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator


def _table(reference: str, project: str | None) -> dict[str, str]:
    """Take ``project.dataset.table``, ``project:dataset.table`` or ``dataset.table`` apart."""
    head, _, rest = reference.replace(":", ".").rpartition(".")
    parts = [*head.split("."), rest]
    if len(parts) == 2:
        parts.insert(0, project or "")
    if len(parts) != 3:
        raise ValueError(f"destination_dataset_table={reference!r}: expected [project.]dataset.table")
    named = {"projectId": parts[0], "datasetId": parts[1], "tableId": parts[2]}
    return {key: value for key, value in named.items() if value}


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
        configuration: dict[str, Any] = {"query": {key: value for key, value in query.items() if value is not None}}
        if labels:
            configuration["labels"] = labels
        super().__init__(configuration=configuration, project_id=project_id, **kwargs)
