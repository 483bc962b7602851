"""The context keys that Airflow 3 took away, for templates, callables and callbacks.

They are added where the SDK builds a context, so whoever gets one has them. Those that need the schedule or a question
to the supervisor are worked out when they are first looked at.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from tradewind_guest.compat import run_instances

#: Removed key -> how it is written today.
REMOVED_KEYS = {
    "execution_date": "logical_date",
    "next_execution_date": "data_interval_end",
    "next_ds": "{{ data_interval_end | ds }}",
    "next_ds_nodash": "{{ data_interval_end | ds_nodash }}",
    "prev_execution_date": "the schedule's previous date",
    "prev_ds": "{{ prev_execution_date | ds }} worked out from logical_date",
    "prev_ds_nodash": "prev_ds without dashes, worked out from logical_date",
    "prev_execution_date_success": "prev_data_interval_start_success",
    "tomorrow_ds": "{{ macros.ds_add(ds, 1) }}",
    "tomorrow_ds_nodash": "{{ macros.ds_add(ds, 1) | replace('-', '') }}",
    "yesterday_ds": "{{ macros.ds_add(ds, -1) }}",
    "yesterday_ds_nodash": "{{ macros.ds_add(ds, -1) | replace('-', '') }}",
    "conf": "airflow.configuration.conf",
    "triggering_dataset_events": "triggering_asset_events",
    "test_mode": "nothing: a test is an ordinary run",
}


def install() -> None:
    """Have contexts built with the removed keys."""
    from airflow.sdk.api.datamodels import _generated
    from airflow.sdk.bases import decorator
    from airflow.sdk.execution_time import task_runner

    kind = task_runner.RuntimeTaskInstance
    build = kind.get_template_context

    @functools.wraps(build)
    def get_template_context(self: Any, *_: Any, **__: Any) -> Any:
        context = build(self)
        if "execution_date" not in context and "dag_run" in context:
            context.update(removed_keys(context))
        return context

    kind.get_template_context = get_template_context
    for name, value in _TASK_INSTANCE.items():
        if not hasattr(kind, name):
            setattr(kind, name, value)
    for name, value in _DAG_RUN.items():
        setattr(_generated.DagRun, name, value)
    _give_callables_what_they_ask_for(decorator)


def removed_keys(context: Mapping[str, Any]) -> dict[str, Any]:
    """Work out the removed keys of a context."""
    import lazy_object_proxy

    later = lazy_object_proxy.Proxy
    run, ti = context["dag_run"], context["ti"]
    date = context.get("logical_date") or _instant(run.run_after)
    following = functools.cache(lambda: _neighbour(context, date, 1))
    before = functools.cache(lambda: _neighbour(context, date, -1))
    keys = {
        "execution_date": date,
        "next_execution_date": later(following),
        "next_ds": later(lambda: _day(following())),
        "next_ds_nodash": later(lambda: _day(following(), "%Y%m%d")),
        "prev_execution_date": later(before),
        "prev_ds": later(lambda: _day(before())),
        "prev_ds_nodash": later(lambda: _day(before(), "%Y%m%d")),
        "prev_execution_date_success": later(lambda: _last_success(ti)),
        "conf": later(_configuration),
        "triggering_dataset_events": context.get("triggering_asset_events"),
        "test_mode": False,
    }
    for name, days in (("tomorrow_ds", 1), ("yesterday_ds", -1)):
        day = date + timedelta(days=days)
        keys[name] = day.strftime("%Y-%m-%d")
        keys[f"{name}_nodash"] = day.strftime("%Y%m%d")
    return keys


def _instant(moment: Any) -> Any:
    from airflow.sdk.timezone import coerce_datetime

    return coerce_datetime(moment)


def _day(moment: Any, form: str = "%Y-%m-%d") -> str | None:
    return moment.strftime(form) if moment is not None else None


def _configuration() -> Any:
    from airflow.configuration import conf

    return conf


def _neighbour(context: Mapping[str, Any], date: Any, direction: int) -> Any:
    """Return the date of the run after or before this one by the schedule; of a run made by hand, its own."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    run = context["dag_run"]
    if str(getattr(run.run_type, "value", run.run_type)) == "manual":
        return date
    timetable = coerce_to_core_timetable(context["dag"].timetable)
    if direction < 0:
        previous = getattr(timetable, "_get_prev", None)
        return _instant(previous(date)) if previous is not None else None
    interval = DataInterval(context.get("data_interval_start") or date, context.get("data_interval_end") or date)
    following = timetable.next_dagrun_info(
        last_automated_data_interval=interval, restriction=TimeRestriction(None, None, catchup=True)
    )
    return _instant(following.logical_date) if following is not None else None


def _last_success(ti: Any) -> Any:
    from airflow.sdk.execution_time import task_runner

    if not hasattr(task_runner, "SUPERVISOR_COMMS"):
        # As the SDK's own lazy values have it: whoever looks through a context after its task takes it for absent.
        raise AttributeError("the date of the last successful run can be asked for only while the task runs")
    run = ti.get_previous_dagrun(state="success")
    return _instant(run.logical_date) if run is not None else None


def _give_callables_what_they_ask_for(decorator: Any) -> None:
    """Hand removed keys to callables, and only where nothing else stands for that name."""
    determine = decorator.KeywordParameters.determine.__func__

    @functools.wraps(determine)
    def with_removed_keys(
        cls: Any, func: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if "execution_date" in kwargs:
            spoken_for = _own_parameters(func, len(args))
            if spoken_for:
                kwargs = {key: value for key, value in kwargs.items() if key not in spoken_for}
        return determine(cls, func, args, kwargs)

    decorator.KeywordParameters.determine = classmethod(with_removed_keys)
    make = decorator._TaskDecorator.__attrs_post_init__

    @functools.wraps(make)
    def __attrs_post_init__(self: Any) -> None:
        code = getattr(self.function, "__code__", None)
        if code is not None and not REMOVED_KEYS.keys().isdisjoint(code.co_varnames[: _count(code)]):
            _default_to_none(self.function)
        make(self)

    decorator._TaskDecorator.__attrs_post_init__ = __attrs_post_init__


def _count(code: Any) -> int:
    return code.co_argcount + code.co_kwonlyargcount


def _own_parameters(func: Callable[..., Any], positional: int) -> set[str]:
    """List the removed keys that are parameters of the callable's own: given by position, or with a value of theirs."""
    own = set()
    for place, (name, parameter) in enumerate(inspect.signature(func).parameters.items()):
        if name in REMOVED_KEYS and (place < positional or parameter.default not in (None, parameter.empty)):
            own.add(name)
    return own


def _default_to_none(function: Any) -> None:
    """Let a ``@task`` function name removed keys without a default: they are filled in when it runs."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(default=None)
        if parameter.name in REMOVED_KEYS and parameter.default is parameter.empty
        else parameter
        for parameter in signature.parameters.values()
    ]
    function.__signature__ = inspect.Signature(
        parameters, return_annotation=signature.return_annotation, __validate_parameters__=False
    )


def _logical_date(self: Any) -> Any:
    run = self._ti_context_from_server.dag_run
    return _instant(run.logical_date or run.run_after)


def _previous_run_date(self: Any, state: Any = None, **_: Any) -> Any:
    run = self.get_previous_dagrun(state=getattr(state, "value", state))
    return _instant(run.logical_date) if run is not None else None


def _previous_start(self: Any, state: Any = None, **_: Any) -> Any:
    run = self.get_previous_dagrun(state=getattr(state, "value", state))
    return _instant(run.start_date) if run is not None else None


_TASK_INSTANCE: dict[str, Any] = {
    "execution_date": property(_logical_date, doc="The run's logical date."),
    "logical_date": property(_logical_date, doc="The run's logical date."),
    "get_dagrun": lambda self, *_, **__: self._ti_context_from_server.dag_run,
    "dag_run": property(lambda self: self._ti_context_from_server.dag_run, doc="The run."),
    "get_previous_execution_date": _previous_run_date,
    "get_previous_start_date": _previous_start,
    "previous_start_date_success": property(lambda self: _previous_start(self, "success")),
    "next_try_number": property(lambda self: self.try_number + 1, doc="The number of the try after this one."),
    "prev_attempted_tries": property(lambda self: self.try_number - 1, doc="How many tries there were before."),
    "operator": property(lambda self: self.task.task_type, doc="The operator's class name."),
    "pool": property(lambda self: self.task.pool),
    "priority_weight": property(lambda self: self.task.priority_weight),
    "log": property(lambda self: logging.getLogger("airflow.task"), doc="Writes to the log of the task."),
    "current_state": lambda self, *_, **__: self.state,
    "key": property(
        lambda self: _key(self.dag_id, self.task_id, self.run_id, self.try_number, self.map_index),
        doc="What tells this try of the task from all others.",
    ),
}


def _key(*parts: Any) -> Any:
    from airflow.models.taskinstancekey import TaskInstanceKey

    return TaskInstanceKey(*parts)


_DAG_RUN: dict[str, Any] = {
    "get_task_instances": run_instances.get_task_instances,
    "get_task_instance": run_instances.get_task_instance,
    "execution_date": property(lambda self: _instant(self.logical_date or self.run_after)),
    "external_trigger": property(lambda self: str(getattr(self.run_type, "value", self.run_type)) == "manual"),
    "is_backfill": property(lambda self: str(getattr(self.run_type, "value", self.run_type)) == "backfill"),
}
