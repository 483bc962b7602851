"""Transfers of the Snowflake provider under their old names."""

from __future__ import annotations

from typing import Any

from airflow.providers.snowflake.transfers.copy_into_snowflake import CopyFromExternalStageToSnowflakeOperator


class S3ToSnowflakeOperator(CopyFromExternalStageToSnowflakeOperator):
    """Copies files of a stage into a table."""

    def __init__(self, *, s3_keys: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(files=s3_keys, **kwargs)
