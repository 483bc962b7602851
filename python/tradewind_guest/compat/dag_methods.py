"""Methods and attributes that DAGs, tasks and task instances had in Airflow 2, mostly for tests."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tradewind_guest.compat import redirects, report, testing


def install() -> None:
    """Add them to the SDK's classes."""
    from airflow.sdk.bases.operator import BaseOperator
    from airflow.sdk.definitions.dag import DAG

    for kind, table in ((DAG, _DAG), (BaseOperator, _TASK)):
        for name, value in table.items():
            if not hasattr(kind, name):
                setattr(kind, name, value)
    DAG.test = _with_database(DAG.test)
    DAG.cli = _cli
    redirects.after_import("airflow.models.taskinstance", _change_task_instance)
    redirects.after_import("airflow.models.dagrun", _change_dag_run)
    redirects.after_import("airflow.utils.session", _change_session)


def _with_database(test: Any) -> Any:
    @functools.wraps(test)
    def run_test(self: Any, execution_date: Any = None, *args: Any, **kwargs: Any) -> Any:
        if execution_date is not None:
            kwargs["logical_date"] = execution_date
        if isinstance(kwargs.get("logical_date"), datetime):
            kwargs["logical_date"] = _aware(kwargs["logical_date"])
        testing.require("dag.test()")
        testing.file_dag(self)
        return test(self, *args, **kwargs)

    return run_test


def _cli(self: Any) -> None:
    raise RuntimeError("dag.cli() is gone: use the commands `tradewind dags test` and `tradewind tasks` instead")


# Schedules


def _timetable(dag: Any) -> Any:
    from airflow.serialization.encoders import coerce_to_core_timetable

    return coerce_to_core_timetable(dag.timetable)


def _aware(moment: Any) -> Any:
    from airflow.sdk import timezone

    return timezone.coerce_datetime(timezone.convert_to_utc(moment)) if moment is not None else None


def _runs_between(self: Any, earliest: datetime | None, latest: datetime, **_: Any) -> Iterator[Any]:
    from airflow.serialization.serialized_objects import DagSerialization

    scheduler_dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(self))
    yield from scheduler_dag.iter_dagrun_infos_between(_aware(earliest or self.start_date), _aware(latest))


def _following_schedule(self: Any, dttm: datetime) -> Any:
    from airflow.timetables.base import DataInterval, TimeRestriction

    date = _aware(dttm)
    interval = DataInterval.exact(date)
    after = getattr(_timetable(self), "_get_next", None)
    if after is not None:
        return _aware(after(date))
    info = _timetable(self).next_dagrun_info(
        last_automated_data_interval=interval, restriction=TimeRestriction(None, None, catchup=True)
    )
    return _aware(info.logical_date) if info else None


def _previous_schedule(self: Any, dttm: datetime) -> Any:
    before = getattr(_timetable(self), "_get_prev", None)
    return _aware(before(_aware(dttm))) if before is not None else None


def _run_dates(self: Any, start_date: datetime, end_date: datetime | None = None) -> list[Any]:
    from airflow.sdk import timezone

    return [info.logical_date for info in _runs_between(self, start_date, end_date or timezone.utcnow())]


# Runs, in tests


def _clear(self: Any, start_date: Any = None, end_date: Any = None, **options: Any) -> Any:
    """Clear the runs of a test. Returns how many task instances were cleared."""
    testing.require("dag.clear()")
    scheduler_dag = testing.file_dag(self)
    known = {key: options[key] for key in ("only_failed", "only_running", "dag_run_state", "dry_run") if key in options}
    return scheduler_dag.clear(start_date=_aware(start_date), end_date=_aware(end_date), **known)


def _run(self: Any, start_date: Any = None, end_date: Any = None, **options: Any) -> None:
    """Run the DAG for each date of its schedule in a stretch of time, one after the other.

    Dates before the DAG's start date have no run, as in Airflow 2. Raises BackfillUnfinished where a run fails.
    """
    testing.require("dag.run()")
    report.use("dag.run", "dag.test(logical_date=)")
    from airflow.sdk import timezone

    from tradewind_guest.compat.lib.exceptions import BackfillUnfinished

    start = _aware(start_date or self.start_date)
    end = _aware(end_date or timezone.utcnow())
    begin = _aware(self.start_date)
    failed = []
    for info in _runs_between(self, start, end):
        if begin is not None and info.logical_date < begin:
            continue
        run = self.test(
            logical_date=info.logical_date,
            run_conf=options.get("conf"),
            mark_success_pattern=".*" if options.get("mark_success") else None,
        )
        if run.state != "success":
            failed.append(f"{info.logical_date.isoformat()}: {run.state}")
    if failed:
        raise BackfillUnfinished(f"dag.run() of {self.dag_id!r}: not all runs succeeded ({'; '.join(failed)})")


def _create_dagrun(
    self: Any, state: Any = "running", execution_date: Any = None, run_id: str | None = None, **options: Any
) -> Any:
    """Make a run in the test's database, with its task instances."""
    testing.require("dag.create_dagrun()")
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    date = _aware(options.get("logical_date") or execution_date or timezone.utcnow())
    kind = DagRunType(options.get("run_type") or DagRunType.MANUAL)
    interval = options.get("data_interval") or _timetable(self).infer_manual_data_interval(run_after=date)
    run_after = _aware(options.get("run_after")) or date
    scheduler_dag = testing.file_dag(self)
    return scheduler_dag.create_dagrun(
        run_id=run_id or DagRun.generate_run_id(run_type=kind, logical_date=date, run_after=run_after),
        logical_date=date,
        data_interval=interval,
        run_after=run_after,
        conf=options.get("conf"),
        run_type=kind,
        triggered_by=DagRunTriggeredByType.TEST,
        triggering_user_name="test",
        state=DagRunState(state),
        start_date=_aware(options.get("start_date")) or date,
    )


def _get_dagrun(self: Any, execution_date: Any = None, run_id: str | None = None, **_: Any) -> Any:
    testing.require("dag.get_dagrun()")
    from airflow.models.dagrun import DagRun

    found = DagRun.find(
        dag_id=self.dag_id, run_id=[run_id] if run_id else None, logical_date=_aware(execution_date)
    )
    return found[-1] if found else None


def _last_dagrun(self: Any, **_: Any) -> Any:
    return _get_dagrun(self)


def _task_instances_of(dag_id: str, task_id: str | None, start: Any, end: Any) -> list[Any]:
    testing.require("task instances")
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    query = (
        select(TaskInstance)
        .join(TaskInstance.dag_run)
        .options(joinedload(TaskInstance.dag_run))
        .where(TaskInstance.dag_id == dag_id)
        .order_by(DagRun.logical_date)
    )
    if task_id is not None:
        query = query.where(TaskInstance.task_id == task_id)
    if start is not None:
        query = query.where(DagRun.logical_date >= _aware(start))
    if end is not None:
        query = query.where(DagRun.logical_date <= _aware(end))
    with create_session() as session:
        found = list(session.scalars(query).unique())
        session.expunge_all()
        return found


def _dag_task_instances(self: Any, start_date: Any = None, end_date: Any = None, **_: Any) -> list[Any]:
    return _task_instances_of(self.dag_id, None, start_date, end_date)


def _task_task_instances(self: Any, start_date: Any = None, end_date: Any = None, **_: Any) -> list[Any]:
    return _task_instances_of(self.dag_id, self.task_id, start_date, end_date)


def _get_task_instance(self: Any, execution_date: datetime, **_: Any) -> Any:
    """Return the task's instance of the run of that date; None if there is no such run."""
    report.use("task.get_task_instance", "dag.test(logical_date=).get_task_instance(task_id)")
    found = _task_instances_of(self.dag_id, self.task_id, execution_date, execution_date)
    return found[-1] if found else None


def _task_run(self: Any, start_date: Any = None, end_date: Any = None, **_: Any) -> None:
    """Run this one task for each date of the schedule in a stretch of time."""
    testing.require("task.run()")
    from airflow.models.taskinstance import TaskInstance

    start = _aware(start_date or self.start_date or self.dag.start_date)
    for info in _runs_between(self.dag, start, end_date or start):
        TaskInstance(self, execution_date=info.logical_date).run()


# Task instances that tests make themselves


def _change_task_instance(module: Any) -> None:
    kind = module.TaskInstance
    original = kind.__init__

    @functools.wraps(original)
    def __init__(self: Any, task: Any, *args: Any, execution_date: Any = None, **kwargs: Any) -> None:
        if args and isinstance(args[0], datetime):
            execution_date, args = args[0], args[1:]
        execution_date = kwargs.pop("logical_date", execution_date)
        if args or "dag_version_id" in kwargs:
            original(self, task, *args, **kwargs)
            return
        testing.require("TaskInstance(task, execution_date)")
        from airflow.serialization.serialized_objects import create_scheduler_operator

        run_id = kwargs.pop("run_id", None)
        run = _get_dagrun(task.dag, execution_date, run_id) if execution_date or run_id else None
        if run is None:
            run = _create_dagrun(task.dag, execution_date=execution_date, run_id=run_id)
        original(
            self,
            create_scheduler_operator(task),
            dag_version_id=run.created_dag_version_id,
            run_id=run.run_id,
            **kwargs,
        )
        self.tradewind_task = task
        self.tradewind_run = run

    kind.__init__ = __init__
    for name, value in _TASK_INSTANCE.items():
        if not hasattr(kind, name):
            setattr(kind, name, value)


def _ti_run(self: Any, **_: Any) -> None:
    """Run the task in this process, and take over how it ended."""
    from airflow.sdk.definitions.dag import _run_task

    task = self.tradewind_task
    stored = _get_task_instance(task, self.tradewind_run.logical_date)
    stored.try_number += 1
    result = _run_task(ti=stored, task=task, run_triggerer=True)
    self.state = stored.state
    self.try_number = stored.try_number
    if result is not None and result.error is not None:
        raise result.error


def _ti_context(self: Any, **_: Any) -> Any:
    """Build the context that the task would get."""
    return _runtime(self).get_template_context()


def _ti_render(self: Any, **_: Any) -> Any:
    """Fill in the task's templates."""
    runtime = _runtime(self)
    runtime.render_templates()
    return self.tradewind_task


def _runtime(ti: Any) -> Any:
    from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if getattr(ti, "tradewind_runtime", None) is None:
        run = ti.tradewind_run
        fields = {name: vars(run).get(name) for name in DagRun.model_fields}
        fields.update(consumed_asset_events=[], conf=run.conf or {}, state=str(run.state), run_type=str(run.run_type))
        context = TIRunContext.model_construct(
            dag_run=DagRun.model_construct(**fields), max_tries=ti.max_tries, task_reschedule_count=0
        )
        ti.tradewind_runtime = RuntimeTaskInstance.model_construct(
            id=ti.id,
            task_id=ti.task_id,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            try_number=ti.try_number or 1,
            map_index=ti.map_index,
            task=ti.tradewind_task,
            max_tries=ti.max_tries,
            _ti_context_from_server=context,
        )
    return ti.tradewind_runtime


def _change_dag_run(module: Any) -> None:
    kind = module.DagRun
    find = kind.find.__func__

    @functools.wraps(find)
    def find_runs(
        cls: Any, *args: Any, execution_date: Any = None, external_trigger: bool | None = None, **kwargs: Any
    ) -> Any:
        testing.require("DagRun.find()")
        if execution_date is not None:
            kwargs["logical_date"] = _aware(execution_date)
        for old, new in (("execution_start_date", "logical_start_date"), ("execution_end_date", "logical_end_date")):
            if old in kwargs:
                kwargs[new] = _aware(kwargs.pop(old))
        found = find(cls, *args, **kwargs)
        if external_trigger is None:
            return found
        return [run for run in found if run.external_trigger == external_trigger]

    kind.find = classmethod(find_runs)
    kind.execution_date = property(lambda self: self.logical_date)
    kind.external_trigger = property(lambda self: str(getattr(self.run_type, "value", self.run_type)) == "manual")


def _change_session(module: Any) -> None:
    """Make the database of a test when a session is first asked for; elsewhere say that there is none."""
    create = module.create_session

    @functools.wraps(create)
    def create_session(*args: Any, **kwargs: Any) -> Any:
        if not testing._ready:
            testing.require("create_session()")
        return create(*args, **kwargs)

    module.create_session = create_session


_DAG: dict[str, Any] = {
    "clear": _clear,
    "run": _run,
    "create_dagrun": _create_dagrun,
    "get_dagrun": _get_dagrun,
    "get_last_dagrun": _last_dagrun,
    "get_task_instances": _dag_task_instances,
    "following_schedule": _following_schedule,
    "previous_schedule": _previous_schedule,
    "get_run_dates": _run_dates,
    "date_range": _run_dates,
    "iter_dagrun_infos_between": _runs_between,
    "schedule_interval": property(lambda self: self.schedule, doc="The schedule, by its old name."),
    "normalized_schedule_interval": property(lambda self: self.schedule, doc="The schedule, by its old name."),
    "concurrency": property(lambda self: self.max_active_tasks, doc="max_active_tasks, by its old name."),
    "filepath": property(lambda self: getattr(self, "relative_fileloc", None) or self.fileloc),
    "full_filepath": property(lambda self: self.fileloc, doc="The file of the DAG."),
    "fail_stop": property(lambda self: self.fail_fast, doc="fail_fast, by its old name."),
    "subdags": property(lambda self: [], doc="There are no sub-DAGs any more: see TaskGroup."),
    "parent_dag": None,
    "is_subdag": False,
    "sub_dag": lambda self, *args, **kwargs: self.partial_subset(*args, **kwargs),
    "log": property(lambda self: logging.getLogger("airflow.models.dag.DAG"), doc="The logger that a DAG had."),
    "active_task_ids": property(lambda self: self.task_ids, doc="The ids of the tasks."),
    "default_view": "grid",
    "orientation": "LR",
}

_TASK: dict[str, Any] = {
    "sla": None,
    "run": _task_run,
    "get_task_instance": _get_task_instance,
    "get_task_instances": _task_task_instances,
    "task_concurrency": property(lambda self: self.max_active_tis_per_dag, doc="max_active_tis_per_dag of old."),
    "schedule_interval": property(lambda self: self.dag.schedule, doc="The schedule of its DAG."),
}

_TASK_INSTANCE: dict[str, Any] = {
    "run": _ti_run,
    "get_template_context": _ti_context,
    "render_templates": _ti_render,
    "execution_date": property(lambda self: self.dag_run.logical_date, doc="The run's logical date."),
}
