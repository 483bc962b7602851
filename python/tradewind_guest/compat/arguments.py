"""Arguments that DAGs and operators had in Airflow 2."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tradewind_guest.compat import deadlines, operator_arguments, redirects, report

#: Old argument of a DAG -> the one of today; None: it has no effect any more.
DAG_ARGUMENTS: dict[str, str | None] = {
    "schedule_interval": "schedule",
    "timetable": "schedule",
    "concurrency": "max_active_tasks",
    "fail_stop": "fail_fast",
    "default_view": None,
    "orientation": None,
    "full_filepath": None,
}

#: Arguments of Airflow 2 that may stand without their name, after the DAG id.
DAG_POSITIONS = ("description", "schedule")

#: Old argument of any operator -> the one of today; None: it has no effect any more.
OPERATOR_ARGUMENTS: dict[str, str | None] = {
    "provide_context": None,
    "task_concurrency": "max_active_tis_per_dag",
    "xcom_push": "do_xcom_push",
    # Of every operator of Google's, until their provider took it away.
    "delegate_to": None,
    "sla": "deadline",
}

#: Trigger rules that were renamed.
TRIGGER_RULES = {"dummy": "always", "none_failed_or_skipped": "none_failed_min_one_success"}

#: Arguments that no Airflow ever had, and what is meant.
NEVER_ARGUMENTS = {
    "exponential_backoff": "retry_exponential_backoff",
    "retry_backoff": "retry_exponential_backoff",
    "max_retries": "retries",
    "dependencies": "upstream tasks set with >>",
}

_NOTES = {
    "default_view": "it has no effect: there is one view",
    "orientation": "it has no effect: the view decides",
    "full_filepath": "it has no effect: the file is known",
    "provide_context": "the context is always given",
    "delegate_to": "it has no effect any more: give impersonation_chain",
    "sla": "it is taken as a deadline of the DAG run",
}


def install() -> None:
    """Make the SDK's DAG and operators take their old arguments."""
    from airflow.sdk.bases import operator
    from airflow.sdk.definitions import dag

    _wrap_init(dag.DAG, _dag_arguments)
    _translate_after_defaults(operator.BaseOperator)
    _take_old_arguments_when_mapping(operator)
    _translate_decorator(dag)
    for path, renamed in operator_arguments.TABLE.items():
        module, _, name = path.partition(":")
        redirects.after_import(module, functools.partial(_change_operator, name=name, renamed=renamed))


def _wrap_init(kind: type, translate: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    original = kind.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        args, kwargs = translate(self, args, kwargs)
        original(self, *args, **kwargs)

    # Operators tell by what is wrapped whether the outermost class has been initialised.
    __init__.__wrapped__ = getattr(original, "__wrapped__", original)  # type: ignore[attr-defined]
    kind.__init__ = __init__  # type: ignore[misc]


def _translate_after_defaults(base: Any) -> None:
    """Translate what every operator takes once ``default_args`` have been filled in."""
    original = base.__init__.__wrapped__

    @functools.wraps(original)
    def __init__(self: Any, **kwargs: Any) -> None:
        kwargs = _base_arguments(type(self), kwargs)
        sla = kwargs.pop("sla", None)
        if sla is not None:
            object.__setattr__(self, "sla", sla)
        original(self, **kwargs)

    base.__init__ = type(base)._apply_defaults(__init__)


def _translate_decorator(module: Any) -> None:
    """Translate the arguments of ``@dag`` where it stands, not where the decorated function is called."""
    original = module.dag

    @functools.wraps(original)
    def dag(dag_id_or_func: Any = None, **kwargs: Any) -> Any:
        return original(dag_id_or_func, **_renamed_dag_arguments(kwargs))

    module.dag = dag
    package = sys.modules["airflow.sdk"]
    if "dag" in vars(package):
        package.dag = dag  # type: ignore[attr-defined]


def _dag_arguments(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) > 1:
        args, kwargs = _name_positions(args, kwargs)
    callback = kwargs.get("sla_miss_callback")
    if callback is not None:
        kwargs = {name: value for name, value in kwargs.items() if name != "sla_miss_callback"}
        report.use("DAG(sla_miss_callback=)", "DAG(deadline=DeadlineAlert(callback=))", argument=True)
        deadlines.keep_callback(self, str(kwargs.get("dag_id") or args[0]), callback)
    return args, _renamed_dag_arguments(kwargs)


def _renamed_dag_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    if DAG_ARGUMENTS.keys().isdisjoint(kwargs):
        return kwargs
    kwargs = dict(kwargs)
    for old in sorted(DAG_ARGUMENTS.keys() & kwargs.keys()):
        value, new = kwargs.pop(old), DAG_ARGUMENTS[old]
        report.use(f"DAG({old}=)", f"DAG({new}=)" if new else "leave it out", _NOTES.get(old), argument=True)
        if new is None or (old == "timetable" and value is None):
            continue
        if new in kwargs and old != "concurrency":  # Which counted, whatever was said beside it.
            raise TypeError(f"DAG() got both {old!r} (Airflow 2) and {new!r} (its name today): give {new!r} only")
        kwargs[new] = value
    return kwargs


def _name_positions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) - 1 > len(DAG_POSITIONS):
        return args, kwargs  # The SDK says what is wrong.
    named = dict(zip(DAG_POSITIONS, args[1:], strict=False))
    for name in named:
        if name in kwargs:
            raise TypeError(f"DAG() got {name!r} twice: once by position and once by name")
        report.use(f"DAG(id, {name})", f"DAG(id, {name}=)", "only the id may stand without its name", argument=True)
    return args[:1], {**kwargs, **named}


def _base_arguments(kind: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    defaults = kwargs.get("default_args") or {}
    for old in OPERATOR_ARGUMENTS:
        if old in defaults and old not in kwargs and OPERATOR_ARGUMENTS[old] is not None:
            kwargs[old] = defaults[old]
    translated = translate_base(kind.__name__, kwargs)
    if not _known_to_base().issuperset(translated):
        _explain_unknown(kind, translated)
    return translated


def translate_base(operator: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Rename the old arguments that every operator had."""
    rule = kwargs.get("trigger_rule")
    if isinstance(rule, str) and rule in TRIGGER_RULES:
        new = TRIGGER_RULES[rule]
        report.use(f"trigger_rule={str(rule)!r}", f"trigger_rule={new!r}", argument=True)
        kwargs = {**kwargs, "trigger_rule": new}
    if OPERATOR_ARGUMENTS.keys().isdisjoint(kwargs):
        return kwargs
    kwargs = dict(kwargs)
    for old in sorted(OPERATOR_ARGUMENTS.keys() & kwargs.keys()):
        value, new_name = kwargs[old], OPERATOR_ARGUMENTS[old]
        if old == "sla" and value is None:
            continue  # Its default.
        said = f"{operator}({new_name}=)" if new_name else "leave it out"
        if old == "sla":
            report.use("sla=", "DAG(deadline=DeadlineAlert(...))", _NOTES["sla"], argument=True)
            continue  # Kept: deadlines.py asks for it.
        report.use(f"{operator}({old}=)", said, _NOTES.get(old), argument=True)
        del kwargs[old]
        if new_name is not None:
            kwargs.setdefault(new_name, value)
    return kwargs


@functools.cache
def _known_to_base() -> frozenset[str]:
    from airflow.sdk.bases.operator import BaseOperator

    return frozenset(inspect.signature(BaseOperator.__init__).parameters)


def _explain_unknown(kind: type, kwargs: Mapping[str, Any]) -> None:
    """Say what is meant by an argument that no operator has; otherwise leave it to the SDK."""
    own = {
        name
        for base in kind.__mro__
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()  # type: ignore[misc]
        if parameter.kind is not parameter.VAR_KEYWORD
    } - {"self"}
    hints = []
    for name in sorted(kwargs.keys() - _known_to_base()):
        near = NEVER_ARGUMENTS.get(name) or next(iter(difflib.get_close_matches(name, sorted(own), 1, 0.75)), None)
        if near:
            hints.append(f"{name!r}: did you mean {near!r}?")
    if hints:
        invalid = {name: kwargs[name] for name in sorted(kwargs.keys() - _known_to_base())}
        raise TypeError(
            f"Invalid arguments were passed to {kind.__name__} (task_id: {kwargs.get('task_id')}). "
            f"Invalid arguments were:\n**kwargs: {invalid} (hint: {' '.join(hints)})"
        )


def _take_old_arguments_when_mapping(operator: Any) -> None:
    """``Operator.partial(...)`` checks its arguments before any operator is made."""
    original = operator.partial

    @functools.wraps(original)
    def partial(operator_class: type, **kwargs: Any) -> Any:
        renamed = operator_arguments.of_class(operator_class)
        if renamed:
            kwargs = operator_arguments.rename(operator_class.__name__, renamed, kwargs)
        return original(operator_class, **translate_base(operator_class.__name__, kwargs))

    operator.partial = partial
    operator.BaseOperator.__dict__["partial"].class_method = classmethod(partial)


def _change_operator(module: Any, *, name: str, renamed: Mapping[str, operator_arguments.Change]) -> None:
    kind = getattr(module, name, None)
    if kind is None:
        return
    current = inspect.signature(kind.__init__).parameters
    # An installed version that still has the argument knows best.
    needed = {old: change for old, change in renamed.items() if callable(change) or old not in current}
    if not needed:
        return
    operator_arguments.remember(kind, needed)

    def translate(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for old in needed.keys() - kwargs.keys():
            # What the operator is given itself goes before a default for others.
            if needed[old] not in kwargs and old in (defaults := _default_args(kwargs)):
                kwargs = {**kwargs, old: defaults[old]}
        given = type(self).__name__
        # What a decorator makes is told by the operator that people know.
        return args, operator_arguments.rename(name if given.startswith("_") else given, needed, kwargs)

    _wrap_init(kind, translate)



def _default_args(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults that the SDK is about to fill in."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    dag = kwargs.get("dag") or DagContext.get_current()
    return {**(getattr(dag, "default_args", None) or {}), **(kwargs.get("default_args") or {})}
