"""Operators and sensors that had a twin which always deferred: today the argument ``deferrable=True`` says so."""

from __future__ import annotations

import functools
import importlib
from typing import Any

#: Twin -> the class of today.
TWINS = {
    "AzureDataFactoryPipelineRunStatusAsyncSensor": "airflow.providers.microsoft.azure.sensors.data_factory:AzureDataFactoryPipelineRunStatusSensor",
    "BigQueryTableExistenceAsyncSensor": "airflow.providers.google.cloud.sensors.bigquery:BigQueryTableExistenceSensor",
    "BigQueryTableExistencePartitionAsyncSensor": "airflow.providers.google.cloud.sensors.bigquery:BigQueryTablePartitionExistenceSensor",
    "DatabricksRunNowDeferrableOperator": "airflow.providers.databricks.operators.databricks:DatabricksRunNowOperator",
    "DatabricksSubmitRunDeferrableOperator": "airflow.providers.databricks.operators.databricks:DatabricksSubmitRunOperator",
    "DbtCloudJobRunAsyncSensor": "airflow.providers.dbt.cloud.sensors.dbt:DbtCloudJobRunSensor",
    "GCSObjectExistenceAsyncSensor": "airflow.providers.google.cloud.sensors.gcs:GCSObjectExistenceSensor",
    "WasbBlobAsyncSensor": "airflow.providers.microsoft.azure.sensors.wasb:WasbBlobSensor",
}


def __getattr__(name: str) -> Any:
    if name not in TWINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _twin(name)


@functools.cache
def _twin(name: str) -> Any:
    module, _, origin = TWINS[name].partition(":")
    base = getattr(importlib.import_module(module), origin)

    def __init__(self: Any, **kwargs: Any) -> None:
        base.__init__(self, **{**kwargs, "deferrable": True})

    body = {"__doc__": f"{origin} that defers.", "__module__": __name__, "__init__": __init__}
    return type(base)(name, (base,), body)
