"""What a test of DAG files needs around it: settings before Airflow is imported, and a database of its own.

``dag.test()`` of the SDK keeps its runs in Airflow's metadata database. A test gets one: an SQLite file in a temporary
folder, made when it is first needed and deleted with the process. Tasks run in this process, by the SDK's own
supervisor for tests. Guests of Tradewind (tasks, parsed files) never get it.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from pathlib import Path
from typing import Any

#: The bundle that DAGs of a test are filed under.
BUNDLE = "dags-folder"

_home: Path | None = None
_ready = False


def prepare() -> None:
    """Set what Airflow must find in the environment. Must run before its first import; what is set already stays."""
    global _home
    if _home is not None:
        return
    _home = Path(tempfile.mkdtemp(prefix="tradewind-dag-tests-"))
    atexit.register(shutil.rmtree, _home, ignore_errors=True)
    folder = os.environ.get("TRADEWIND__DAGS__FOLDER") or "dags"
    for key, value in {
        "AIRFLOW_HOME": str(_home),
        "_AIRFLOW__AS_LIBRARY": "1",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # A debugger may stop in it.
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(folder).resolve()),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home / 'runs.db'}",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(_home / "bundles"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }.items():
        os.environ.setdefault(key, value)


def start() -> None:
    """Put the layer in force in a test process."""
    prepare()
    from tradewind_guest import compat

    compat.install()
    from airflow.sdk.bases.operator import ExecutorSafeguard

    ExecutorSafeguard.test_mode = True  # Tests call execute() themselves.
    _configure_logging()


def _configure_logging() -> None:
    """Set up logging as a task has it: operators ask their logger for its level, and nobody wants to read all of it."""
    import logging

    import structlog

    if structlog.is_configured():
        return
    from airflow.sdk.log import configure_logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(cache_logger_on_first_use=False)
    if handlers:  # Those of pytest, or of whoever has set it up for himself.
        root.handlers[:] = handlers
        root.setLevel(level)


class _FirstImport(MetaPathFinder, Loader):
    """Waits for the first import of Airflow, and gets the process ready around it."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._real: Any = None

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "airflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("airflow")
        if spec is None or spec.loader is None:
            return spec
        prepare()
        self._real, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        return self._real.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._real
        self._real.exec_module(module)
        start()
        self._then()


def start_with_airflow(then: Callable[[], None]) -> None:
    """Put the layer in force when Airflow is first imported, and call ``then``."""
    if "airflow" in sys.modules:
        start()
        then()
    else:
        sys.meta_path.insert(0, _FirstImport(then))


def is_test() -> bool:
    """Say whether this process is one that may have a database."""
    return _home is not None


def require(what: str) -> None:
    """Make the database, or say why there is none."""
    if not is_test():
        raise RuntimeError(
            f"{what} needs Airflow's database, which is not there: not for a DAG file, not for a task. In tests, "
            "`python -m pytest` in Tradewind's Python environment provides one; in a task, ask through `ti` "
            "(get_previous_dagrun, get_dr_count, get_ti_count, xcom_pull) or through the REST API"
        )
    _make_database()


def _make_database() -> None:
    global _ready
    if _ready:
        return
    _ready = True
    from airflow import settings

    if settings.Session is None:
        settings.configure_vars()
        settings.configure_orm()
    import airflow.models
    from airflow.models.base import Base
    from airflow.utils.db import add_default_pool_if_not_exists, synchronize_log_template
    from airflow.utils.session import create_session

    airflow.models.import_all_models()
    if str(settings.engine.url).startswith("sqlite"):
        Path(str(settings.engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    Base.metadata.create_all(settings.engine)
    with create_session() as session:
        synchronize_log_template(session=session)
        add_default_pool_if_not_exists(session=session)


def file_dag(dag: Any) -> Any:
    """Write a DAG to the database; return it as the scheduler sees it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import DagSerialization

    nothing = Path(str(_home)) / "nothing"
    nothing.mkdir(exist_ok=True)
    DagBundlesManager().sync_bundles_to_db()
    bag = BundleDagBag(dag_folder=str(nothing), bundle_path=nothing, bundle_name=BUNDLE)
    if not getattr(dag, "relative_fileloc", None):
        dag.relative_fileloc = Path(dag.fileloc).name
    bag.dags[dag.dag_id] = dag
    sync_bag_to_db(bag, BUNDLE, None)
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
