"""Settings that Airflow must find in its environment before its first import.

Nothing of Airflow is imported here. The aim: no metadata database, no config file, no example DAGs, no network, and
nothing written outside of one private folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from tradewind_guest import xcom_backend

#: A database address that fails loudly wherever something tries to use it.
NO_DATABASE = "airflow-db-not-allowed:///"

#: Set by the supervisor: names this zygote in the environment of all its descendants.
ZYGOTE_MARKER = "TRADEWIND_GUEST_ZYGOTE"

#: Set in each child: names the attempt in the environment of what the task starts.
CHILD_MARKER = "TRADEWIND_GUEST_CHILD"


def isolate(home: Path) -> None:
    """Point Airflow at ``home`` and switch off what a guest must not do. User settings of the same name win."""
    defaults = {
        "AIRFLOW_HOME": str(home),
        # Airflow would otherwise open its database and write a config file when it is first imported.
        "_AIRFLOW__AS_LIBRARY": "1",
        # Variables and connections are asked of the supervisor.
        "_AIRFLOW_PROCESS_CONTEXT": "client",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "no-dags"),
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "20",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # The bundle of a run is pinned by content: a DAG that is missing now stays missing.
        "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "0",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
        # Standard input of a task is a socket. A bash that finds one there, and no sign of a shell above it, takes
        # itself for a remote login and runs ~/.bashrc.
        "SHLVL": "1",
    }
    for key, value in defaults.items():
        os.environ.setdefault(key, value)
    xcom_backend.put_off()
    for key in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN"):
        os.environ[key] = NO_DATABASE
