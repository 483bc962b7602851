"""Imports every module that the installed providers name in their metadata, in a task a provider."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import distributions

from airflow.sdk import DAG, task

NAMES = sorted(
    {
        found.metadata["Name"]
        for found in distributions()
        if found.metadata["Name"].startswith("apache-airflow-providers-")
    }
)

with DAG("imports", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):

    @task
    def load(name: str) -> dict:
        import importlib

        from provider_modules import modules_of

        failed = {}
        modules = modules_of(name)
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception as error:
                failed[module] = f"{type(error).__name__}: {error}"
        return {"modules": len(modules), "failed": failed}

    for provider in NAMES:
        load.override(task_id=provider.removeprefix("apache-airflow-providers-"))(provider)
