"""Small changes to classes of the SDK that Airflow 2 code calls differently."""

from __future__ import annotations

import functools
import inspect
import os
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
    redirects.after_import("airflow.utils.state", _change_state)
    redirects.after_import("airflow.sdk.api.datamodels._generated", _change_run_type)
    redirects.after_import("airflow.dag_processing.dagbag", _change_dag_bag)
    redirects.after_import("airflow.sdk.definitions.asset", _change_asset_uris)
    redirects.after_import("airflow.providers.standard.operators.python", _change_virtualenv_operators)


def _change_trigger_rule(module: Any) -> None:
    rule = module.TriggerRule
    rule.DUMMY = rule.ALWAYS
    rule.NONE_FAILED_OR_SKIPPED = rule.NONE_FAILED_MIN_ONE_SUCCESS


def _change_state(module: Any) -> None:
    # No task is in it any more; comparisons with it go on to be false.
    if not hasattr(module.State, "SHUTDOWN"):
        module.State.SHUTDOWN = "shutdown"


def _change_run_type(module: Any) -> None:
    # In a task, `str(dag_run.run_type)` was "backfill"; the SDK's class says "DagRunType.BACKFILL".
    module.DagRunType.__str__ = lambda self: str(self.value)


def _change_dag_bag(module: Any) -> None:
    kind = module.DagBag
    original = kind.__init__

    @functools.wraps(original)
    def __init__(self: Any, dag_folder: Any = None, *args: Any, **kwargs: Any) -> None:
        # Without a name, the second argument was include_examples; safe_mode came third.
        if args and isinstance(args[0], bool):
            args = args[1:]
            report.use("DagBag(dag_folder, include_examples)", "DagBag(dag_folder) and [core] load_examples")
        for old in DAGBAG_ARGUMENTS.keys() & kwargs.keys():
            del kwargs[old]
            report.use(f"DagBag({old}=)", DAGBAG_ARGUMENTS[old] or "leave it out")
        original(self, dag_folder, *args, **kwargs)

    kind.__init__ = __init__


def _change_asset_uris(module: Any) -> None:
    """A URI that its provider does not take was a warning for a dataset; it is an error for an asset."""
    find = module._get_uri_normalizer

    def get_uri_normalizer(scheme: str) -> Any:
        normalize = find(scheme)
        if normalize is None or not _says_dataset(module.Asset):
            return normalize

        def normalize_or_tell(parts: Any) -> Any:
            try:
                return normalize(parts)
            except ValueError as error:
                report.use(f"Dataset({parts.geturl()!r})", "a URI as its provider takes it", str(error), argument=True)
                return parts

        return normalize_or_tell

    module._get_uri_normalizer = get_uri_normalizer


def _says_dataset(asset: type) -> bool:
    """Say whether the file that makes an asset calls it a dataset."""
    frame = report.caller()
    return frame is not None and frame.f_globals.get("Dataset") is asset


def _change_virtualenv_operators(module: Any) -> None:
    """What goes to another interpreter must bear pickling: `**context` alone does not ask for every removed key."""
    kind = module._BasePythonVirtualenvOperator
    write = kind._write_args

    @functools.wraps(write)
    def _write_args(self: Any, *args: Any, **kwargs: Any) -> Any:
        named = inspect.signature(self.python_callable).parameters
        self.op_kwargs = {
            name: value
            for name, value in self.op_kwargs.items()
            if name in named or name not in _NOT_FOR_OTHERS
        }
        return write(self, *args, **kwargs)

    kind._write_args = _write_args
    execute = module._execute_in_subprocess

    @functools.wraps(execute)
    def _execute_in_subprocess(cmd: Any, cwd: Any = None, env: Any = None) -> Any:
        # That interpreter is no guest: an Airflow that it has sets itself up, or it finds no folder of plugins.
        env = {key: value for key, value in (env or os.environ).items() if key != "_AIRFLOW__AS_LIBRARY"}
        return execute(cmd, cwd=cwd, env=env)

    module._execute_in_subprocess = _execute_in_subprocess


#: Removed context keys that another interpreter gets only when it asks for them: they cannot always be pickled.
_NOT_FOR_OTHERS = {"conf", "triggering_dataset_events"}
