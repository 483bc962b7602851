"""Small changes to classes of the SDK that Airflow 2 code calls differently."""

from __future__ import annotations

import functools
from typing import Any

from tradewind_guest.compat import redirects, report

#: Arguments of DagBag that are settings now, or nothing.
DAGBAG_ARGUMENTS = {
    "include_examples": "[core] load_examples",
    "include_smart_sensor": None,
    "read_dags_from_db": None,
    "store_serialized_dags": None,
    "executor": None,
}


def install() -> None:
    """Have the classes changed when they are first imported."""
    redirects.after_import("airflow.task.trigger_rule", _change_trigger_rule)
    redirects.after_import("airflow.dag_processing.dagbag", _change_dag_bag)


def _change_trigger_rule(module: Any) -> None:
    rule = module.TriggerRule
    rule.DUMMY = rule.ALWAYS
    rule.NONE_FAILED_OR_SKIPPED = rule.NONE_FAILED_MIN_ONE_SUCCESS


def _change_dag_bag(module: Any) -> None:
    kind = module.DagBag
    original = kind.__init__

    @functools.wraps(original)
    def __init__(self: Any, dag_folder: Any = None, *args: Any, **kwargs: Any) -> None:
        # In Airflow 2 the second argument was include_examples; here it is safe_mode, a bool too.
        for old in DAGBAG_ARGUMENTS.keys() & kwargs.keys():
            del kwargs[old]
            report.use(f"DagBag({old}=)", DAGBAG_ARGUMENTS[old] or "leave it out")
        original(self, dag_folder, *args, **kwargs)

    kind.__init__ = __init__
