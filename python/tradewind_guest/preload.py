"""Loads, once and before any fork, what every task would otherwise load for itself."""

from __future__ import annotations

import contextlib
import gc
import importlib
import signal
import warnings
from typing import Any

from tradewind_guest import compat, log_sink, process

#: Imported at start. One that is missing is skipped: a provider package is the user's choice.
MODULES = (
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.context",
    "airflow.sdk.execution_time.macros",
    "airflow.sdk.execution_time.sentry",
    "airflow.sdk.execution_time.timeout",
    "airflow.sdk.execution_time.xcom",
    "airflow.sdk.execution_time.secrets.execution_api",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.log",
    "airflow.sdk.plugins_manager",
    "airflow.sdk.serde",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.importers.python_importer",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.bundles.local",
    "airflow.serialization.serialized_objects",
    # Hooks may make a connection of Airflow's own class, which is mapped to a table. SQLAlchemy then wants to know all
    # tables that are related to it, by way of others.
    "airflow.models.renderedtifields",
    "airflow.models.trigger",
    "airflow.jobs.job",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.operators.branch",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.python",
    "airflow.providers.standard.sensors.bash",
    "airflow.providers.standard.sensors.filesystem",
    "airflow.providers.standard.sensors.date_time",
    "airflow.providers.standard.sensors.time_delta",
    "airflow.providers.standard.decorators.bash",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.decorators.branch_python",
    "airflow.providers.standard.decorators.short_circuit",
    "airflow.providers.standard.decorators.sensor",
    "airflow.version",
    "jinja2.ext",
    "jinja2.sandbox",
    "setproctitle",
    "encodings.idna",
    "importlib.resources",
    "multiprocessing.util",
    "msgspec",
    "pendulum",
    "rich.traceback",
    "tempfile",
    "sqlite3",
    "tradewind_guest.task_host",
)


def preload(extra: list[str]) -> None:
    """Import the SDK and get everything ready that does not depend on a task."""
    with warnings.catch_warnings():
        # Deprecations inside of published packages are news for their authors, not for our log.
        warnings.simplefilter("ignore")
        # First: what is imported next may be told to load something out of the plugins folder, as an XCom backend.
        _initialise_settings()
        for name in (*MODULES, *extra):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    compat.install()
    _share_type_adapters()
    let_segfaults_kill()
    log_sink.configure()
    _warm_up()
    # The last one, by which it tells the modules of a parsed file from those that were there before.
    importlib.import_module("tradewind_guest.parse_host")
    # Objects made so far are taken out of the collector's sight: a child's collection would otherwise write to, and
    # so copy, every page that it shares with this process.
    gc.collect()
    gc.freeze()
    process.use_huge_pages()


def _initialise_settings() -> None:
    """Do what importing Airflow does unless used as a library, without its logging and database parts."""
    from airflow import settings

    settings.configure_vars()
    settings.prepare_syspath_for_config_and_plugins()
    settings.load_policy_plugins(settings.get_policy_plugin_manager())
    settings.import_local_settings()
    settings._configure_secrets_masker()


def _share_type_adapters() -> None:
    """Build the validators of messages and rendered fields once; the SDK would build them in each task."""
    import msgspec
    from airflow.sdk.execution_time import comms, task_runner
    from pydantic import JsonValue

    build = comms.TypeAdapter
    # By identity: hashing a union hashes each of its hundred members, which costs more than all the rest of a look-up.
    built: dict[int, tuple[Any, Any]] = {}

    def adapter(type_: Any) -> Any:
        known = built.get(id(type_))
        if known is None:
            known = built[id(type_)] = (build(type_), type_)
        return known[0]

    for module in (comms, task_runner):
        module.TypeAdapter = adapter
    for type_ in (comms.ToTask, JsonValue):
        adapter(type_)
    decoder: Any = comms.CommsDecoder
    # `CommsDecoder[ToTask, ToSupervisor]` hashes both unions, too, and gives nothing but the class again.
    decoder.__class_getitem__ = classmethod(lambda cls, _: cls)
    # The decoder of frames keeps nothing between two frames. attrs finds the default of a field under this name.
    frames = msgspec.msgpack.Decoder(comms._ResponseFrame)
    decoder.__init__.__globals__["__attr_factory_resp_decoder"] = lambda: frames


def let_segfaults_kill() -> None:
    """Keep Airflow's importer from handling SIGSEGV in Python: a real fault would then be retried for ever."""
    from airflow.dag_processing.importers import python_importer

    class SignalModule:
        def __getattr__(self, name: str) -> Any:
            return getattr(signal, name)

        @staticmethod
        def signal(signum: int, handler: Any) -> Any:
            return None if signum == signal.SIGSEGV else signal.signal(signum, handler)

    python_importer.signal = SignalModule()


def _warm_up() -> None:
    """Run the lazy parts of the SDK once, so that they are done when a child needs them."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.listener import get_listener_manager
    from airflow.sdk.observability.metrics import stats_utils
    from airflow.sdk.plugins_manager import integrate_macros_plugins

    conf.getboolean("metrics", "legacy_names_on")
    # Every task asks before it loads its file, so the answer is that of this process.
    with contextlib.suppress(ImportError):
        factory = stats_utils.get_stats_factory()
        stats_utils.get_stats_factory = lambda: factory
    with contextlib.suppress(Exception):
        get_listener_manager()
    with contextlib.suppress(Exception):
        integrate_macros_plugins()
