"""Runs the callbacks that no task process can run: of DAG runs, of task instances whose worker was lost, of deadlines.

Each of them gets its chance whatever the others do; the exit code says whether all of them returned.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from airflow.sdk import serde
from airflow.sdk._shared.module_loading import (
    UNUSUAL_MODULE_PREFIX,
    accepts_context,
    accepts_keyword_args,
    import_string,
)
from airflow.sdk.api.datamodels._generated import TaskInstance, TaskInstanceState, TIRunContext
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.exceptions import TaskNotFound
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CommsDecoder

from tradewind_guest import bytecode, log_sink, runtime, xcom_backend

log = structlog.get_logger("tradewind.callbacks")


def run(prelude: dict[str, Any], requests: socket.socket, log_fd: int) -> int:
    """Run what ``prelude`` names. Returns 0 when all of it returned, 1 when something raised."""
    os.environ.update(prelude["env"])
    os.chdir(prelude["working_dir"])
    if prelude["bytecode_dir"]:
        bytecode.redirect(prelude["bundle_dir"], prelude["bytecode_dir"])
    else:
        sys.dont_write_bytecode = True
    sys.path.append(prelude["bundle_dir"])
    xcom_backend.take_up(prelude["bundle_dir"])
    os.dup2(requests.fileno(), 0)
    requests.close()
    log_sink.SINK.open(log_fd)
    task_runner.SUPERVISOR_COMMS = CommsDecoder(log=log)
    try:
        return 0 if Callbacks(prelude).run() else 1
    except Exception:
        log.exception("The callback could not be run")
        return 1


class Callbacks:
    """The callbacks of one request."""

    def __init__(self, prelude: dict[str, Any]) -> None:
        self._bundle = Path(prelude["bundle_dir"])
        self._bundle_name = prelude["bundle_name"]
        self._file = prelude["dag_rel_path"]
        self._request = prelude["callback"]
        self._well = True

    def run(self) -> bool:
        match self._request["kind"]:
            case "dag_success":
                self._of_dag("on_success_callback")
            case "dag_failure":
                self._of_dag("on_failure_callback")
            case "task_failure":
                self._of_task("on_failure_callback", "email_on_failure")
            case "task_retry":
                self._of_task("on_retry_callback", "email_on_retry")
            case "deadline":
                self._of_deadline()
            case other:
                raise ValueError(f"unknown kind of callback {other!r}")
        return self._well

    def _call(self, name: str, function: Callable[[], Any]) -> None:
        log.info("Executing callback", callback=name)
        try:
            function()
        except Exception:
            self._well = False
            log.exception("Callback failed", callback=name)

    def _dag(self) -> Any:
        return runtime.load_dag(self._bundle, self._file, self._bundle_name, self._request["dag_id"])

    def _ti_context(self) -> TIRunContext:
        return TIRunContext.model_validate(self._request["ti_context"])

    def _of_dag(self, attribute: str) -> None:
        dag = self._dag()
        functions = _as_list(getattr(dag, attribute))
        if not functions:
            log.warning("The DAG file has no such callback any more", callback=attribute)
        context = self._dag_context(dag)
        for function in functions:
            self._call(_name(function), functools.partial(function, context))

    def _dag_context(self, dag: Any) -> dict[str, Any]:
        from_server = self._ti_context()
        context: dict[str, Any] = {"dag": dag, "run_id": self._request["run_id"], "dag_run": from_server.dag_run}
        if self._request["ti"] is not None:
            ti = TaskInstance.model_validate(self._request["ti"])
            try:
                task = dag.get_task(ti.task_id)
            except TaskNotFound:
                log.warning("The task of the context is not in the DAG file any more", task_id=ti.task_id)
            else:
                context = self._runtime_ti(ti, task, from_server).get_template_context()
        context["reason"] = self._request["reason"]
        return context

    def _runtime_ti(self, ti: TaskInstance, task: Any, from_server: TIRunContext) -> Any:
        state = self._request["ti_state"]
        return runtime.task_instance(ti, task, from_server, state=state and TaskInstanceState(state))

    def _of_task(self, attribute: str, email_on: str) -> None:
        dag = self._dag()
        ti = TaskInstance.model_validate(self._request["ti"])
        task = dag.get_task(ti.task_id)
        runtime_ti = self._runtime_ti(ti, task, self._ti_context())
        context = runtime_ti.get_template_context()
        reason = self._request["reason"]
        error = Exception(reason) if reason else None
        context["exception"] = error
        for function in _as_list(getattr(task, attribute)):
            self._call(_name(function), functools.partial(function, context))
        if task.email and getattr(task, email_on):
            self._call(
                "e-mail",
                lambda: task_runner._send_error_email_notification(task, runtime_ti, context, error, log),
            )

    def _of_deadline(self) -> None:
        callback: Any = serde.deserialize(self._request["spec"])
        run = self._ti_context().dag_run.model_dump(mode="json")
        context = {"dag_run": {**run, "dag_run_id": run["run_id"]}, "deadline": self._request["deadline"]}
        awaited = isinstance(callback, AsyncCallback)
        self._call(callback.path, lambda: self._call_path(callback.path, callback.kwargs, context, awaited))

    def _call_path(self, path: str, kwargs: dict[str, Any], context: dict[str, Any], awaited: bool) -> None:
        function = self._import(path)
        given = {**kwargs, "context": context} if accepts_context(function) else kwargs
        result = function(**given)
        if awaited or inspect.iscoroutine(result):
            asyncio.run(_await(result))
        elif callable(result):  # A class, such as a notifier: what it made is to be called.
            if not accepts_keyword_args(result):
                result(context)
            elif accepts_context(result):
                result(context=context)
            else:
                result()

    def _import(self, path: str) -> Any:
        module, _, name = path.rpartition(".")
        if not module.startswith(UNUSUAL_MODULE_PREFIX):
            return import_string(path)
        # Of the DAG file itself, under the name that it had where it was parsed.
        spec = importlib.util.spec_from_file_location(module, self._bundle / self._file)
        if spec is None or spec.loader is None:
            raise ImportError(f"the DAG file {self._file} cannot be imported")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
        return getattr(loaded, name)


async def _await(result: Any) -> Any:
    return await result


def _as_list(callbacks: Any) -> list[Any]:
    if not callbacks:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
