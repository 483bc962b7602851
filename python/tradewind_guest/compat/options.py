"""Options of ``airflow.cfg`` that Airflow 2 still found under their older names."""

from __future__ import annotations

import functools
from typing import Any

from tradewind_guest.compat import redirects, report

#: Section -> its name today.
SECTIONS = {"kubernetes": "kubernetes_executor"}

#: Old section and option -> those of today.
OPTIONS = {
    ("celery", "default_queue"): ("operators", "default_queue"),
    ("core", "base_log_folder"): ("logging", "base_log_folder"),
    ("core", "dag_concurrency"): ("core", "max_active_tasks_per_dag"),
    ("core", "logging_level"): ("logging", "logging_level"),
    ("core", "remote_base_log_folder"): ("logging", "remote_base_log_folder"),
    ("core", "remote_log_conn_id"): ("logging", "remote_log_conn_id"),
    ("core", "remote_logging"): ("logging", "remote_logging"),
    ("webserver", "base_url"): ("api", "base_url"),
    ("webserver", "secret_key"): ("api", "secret_key"),
}

#: What an option without a value was in Airflow 2.
DEFAULTS = {
    ("webserver", "base_url"): "http://localhost:8080",
    ("core", "enable_xcom_pickling"): "False",
}


def install() -> None:
    """Have the configuration changed when it is first imported."""
    redirects.after_import("airflow.configuration", _change_configuration)


def _change_configuration(module: Any) -> None:
    kind = module.AirflowConfigParser
    original = kind.get

    @functools.wraps(original)
    def get(self: Any, section: str, key: str, *args: Any, **kwargs: Any) -> Any:
        place = (section.lower(), key.lower())
        if place in DEFAULTS:
            kwargs.setdefault("fallback", DEFAULTS[place])
        moved = OPTIONS.get(place)
        if moved is None and place[0] in SECTIONS:
            moved = (SECTIONS[place[0]], key)
        if moved is None:
            return original(self, section, key, *args, **kwargs)
        report.use(f"conf.get({section!r}, {key!r})", f"conf.get({moved[0]!r}, {moved[1].lower()!r})")
        return original(self, *moved, *args, **kwargs)

    kind.get = get
