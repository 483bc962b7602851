"""Dataproc operators for one kind of job: ``DataprocSubmitJobOperator`` with the job built of their arguments."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any

from airflow.providers.google.cloud.operators.dataproc import DataprocSubmitJobOperator

#: Old argument -> field of the job.
_ALL = {"dataproc_properties": "properties", "dataproc_jars": "jar_file_uris"}
_QUERY = {**_ALL, "query": "query_list", "query_uri": "query_file_uri", "variables": "script_variables"}
_PROGRAM = {
    **_ALL,
    "main_jar": "main_jar_file_uri",
    "main_class": "main_class",
    "arguments": "args",
    "archives": "archive_uris",
    "files": "file_uris",
}
_PYTHON = {
    **_ALL,
    "main": "main_python_file_uri",
    "arguments": "args",
    "archives": "archive_uris",
    "files": "file_uris",
    "pyfiles": "python_file_uris",
}
#: Of every kind, beside its fields. The name became a part of the job's id, which is made up now.
_COMMON = ("cluster_name", "labels", "job_name", "delegate_to", "job_error_states")


def _operator(name: str, kind: str, fields: dict[str, str]) -> Any:
    def __init__(self: Any, **kwargs: Any) -> None:
        given = {field: kwargs.pop(old, None) for old, field in fields.items()}
        common = {argument: kwargs.pop(argument, None) for argument in _COMMON}
        if (query := given.pop("query_list", None)) is not None:
            given["query_list"] = {"queries": [query] if isinstance(query, str) else list(query)}
        job = {
            "placement": {"cluster_name": common["cluster_name"] or "cluster-1"},
            kind: {field: value for field, value in given.items() if value is not None},
        }
        if common["labels"]:
            job["labels"] = common["labels"]
        kwargs.setdefault("region", "global")
        DataprocSubmitJobOperator.__init__(self, job=job, **kwargs)

    # The SDK reads from it what may be given, by name, by default_args or by partial().
    arguments = [Parameter(argument, Parameter.KEYWORD_ONLY, default=None) for argument in (*fields, *_COMMON)]
    __init__.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter("self", Parameter.POSITIONAL_OR_KEYWORD),
            *arguments,
            Parameter("kwargs", Parameter.VAR_KEYWORD),
        ]
    )
    body = {"__doc__": f"Submits a {kind}.", "__module__": __name__, "__init__": __init__}
    return type(DataprocSubmitJobOperator)(name, (DataprocSubmitJobOperator,), body)


DataprocSubmitHadoopJobOperator = _operator("DataprocSubmitHadoopJobOperator", "hadoop_job", _PROGRAM)
DataprocSubmitHiveJobOperator = _operator("DataprocSubmitHiveJobOperator", "hive_job", _QUERY)
DataprocSubmitPigJobOperator = _operator("DataprocSubmitPigJobOperator", "pig_job", _QUERY)
DataprocSubmitPySparkJobOperator = _operator("DataprocSubmitPySparkJobOperator", "pyspark_job", _PYTHON)
DataprocSubmitSparkJobOperator = _operator("DataprocSubmitSparkJobOperator", "spark_job", _PROGRAM)
DataprocSubmitSparkSqlJobOperator = _operator("DataprocSubmitSparkSqlJobOperator", "spark_sql_job", _QUERY)
