"""Runs triggers, thousands of them in one process and one event loop.

The supervisor orders each trigger by a number and hears what became of it: it fired an event, ended its task instance,
failed, or was not to be had. The first event of a trigger is its last.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
import sys
import traceback
from collections.abc import AsyncIterator
from typing import Any

import anyio
import greenback
import structlog
from airflow.sdk import serde
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance
from airflow.sdk.execution_time import task_runner
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.triggers.base import BaseTaskEndEvent, BaseTrigger, TriggerEvent

from tradewind_guest import bytecode, log_sink, trigger_templates
from tradewind_guest.trigger_comms import CURRENT, Channel, ContextThreads
from tradewind_guest.trigger_output import OWNER, Printed, write_line
from tradewind_guest.trigger_watchdog import Watchdog

#: What a task is told of a trigger that failed, as Airflow's ``TriggerFailureReason.TRIGGER_FAILURE``.
TRIGGER_FAILURE = "Trigger failure"
#: Seconds that a trigger has after its event, and for what it does when it is cancelled.
_AFTER_EVENT = 5.0
_ON_KILL = 30.0
_CLEANUP = 10.0
#: The message of a cancellation by which a trigger knows that its task instance was taken away by a person.
_KILLED = "killed"

log = structlog.get_logger("tradewind.triggers")


def run(prelude: dict[str, Any], requests: socket.socket, log_fd: int) -> None:
    """Run triggers until the supervisor closes the channel."""
    os.environ.update(prelude["env"])
    os.chdir(prelude["working_dir"])
    if prelude["bundle_dir"]:
        if prelude["bytecode_dir"]:
            bytecode.redirect(prelude["bundle_dir"], prelude["bytecode_dir"])
        else:
            sys.dont_write_bytecode = True
        # At the end, as Airflow does it: what is installed goes first.
        sys.path.append(prelude["bundle_dir"])
    log_sink.SINK.open(log_fd)
    asyncio.run(Host(prelude).serve(requests))


class Host:
    """The triggers of this process."""

    def __init__(self, prelude: dict[str, Any]) -> None:
        self._prelude = prelude
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._printed = [
            Printed("task.stdout", "info", sys.stdout),
            Printed("task.stderr", "error", sys.stderr),
        ]

    async def serve(self, requests: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ContextThreads(thread_name_prefix="trigger"))
        reader, writer = await asyncio.open_connection(sock=requests)
        self._channel = Channel(reader, writer)
        task_runner.SUPERVISOR_COMMS = self._channel  # type: ignore[assignment]
        sys.stdout, sys.stderr = self._printed  # type: ignore[assignment]
        self._watchdog = Watchdog(self._prelude["block_warn_secs"], self._prelude["block_limit_secs"])
        beating = self._watchdog.start()
        async for order in self._channel.orders():
            match order["type"]:
                case "RunTrigger":
                    number = order["number"]
                    self._running[number] = asyncio.create_task(self._run(order), name=order["name"])
                case "CancelTrigger":
                    self._cancel(order["number"], order["kill"])
                case "Ping":
                    self._channel.tell({"type": "Pong", "number": order["number"]})
        beating.cancel()
        for number in list(self._running):
            self._cancel(number, kill=False)
        await asyncio.wait([*self._running.values(), beating], timeout=_CLEANUP)

    def _cancel(self, number: int, kill: bool) -> None:
        if task := self._running.get(number):
            self._cancelled.add(number)
            task.cancel(_KILLED if kill else None)

    async def _run(self, order: dict[str, Any]) -> None:
        number = order["number"]
        CURRENT.set(number)
        self._watchdog.own(number)
        structlog.contextvars.bind_contextvars(**{OWNER: number})
        outcome: dict[str, Any] = {"outcome": "cancelled"}
        try:
            await greenback.ensure_portal()
            outcome = await self._supervise(order)
        except asyncio.CancelledError as error:
            if number not in self._cancelled:
                outcome = _failed(error)  # It cancelled itself.
        except BaseException as error:  # Of our own making, or an exit that user code called for.
            outcome = _failed(error)
        finally:
            self._running.pop(number, None)
            self._cancelled.discard(number)
            self._tell(number, outcome)
            for stream in self._printed:
                stream.finish(number)
            # The last line, by which the supervisor knows that the log is whole.
            write_line(number, "debug", "tradewind.triggers", "", end=True)

    def _tell(self, number: int, outcome: dict[str, Any]) -> None:
        if not outcome.get("told"):
            self._channel.tell({"type": "TriggerDone", "number": number, **outcome})

    async def _supervise(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            trigger = await self._make(order)
        except Exception as error:
            return {**_failed(error), "stage": "load"}
        log.info("trigger starting", name=order["name"])
        events = trigger.run()
        try:
            outcome = await _first_event(events)
            self._tell(order["number"], outcome)
            if outcome["outcome"] != "failed":
                await _let_finish(events)
            return {**outcome, "told": True}
        except asyncio.CancelledError as stop:
            if _KILLED in stop.args:
                await _bounded("on_kill", trigger.on_kill(), _ON_KILL)
            raise
        finally:
            await _bounded("cleanup", trigger.cleanup(), _CLEANUP)
            log.info("trigger completed", name=order["name"])

    async def _make(self, order: dict[str, Any]) -> BaseTrigger:
        cls = import_string(order["classpath"])
        if not (inspect.isclass(cls) and issubclass(cls, BaseTrigger)):
            raise TypeError(f"{order['classpath']} is no trigger: it is not derived from BaseTrigger")
        trigger = cls(**_kwargs(order["kwargs"]))
        ti: Any = TaskInstance.model_validate(order["ti"])
        context = None
        if order["template"]:
            ti, context = trigger_templates.context(self._prelude, order, ti)
        trigger.task_instance = ti
        trigger.trigger_id = order["number"]
        trigger.triggerer_job_id = None  # type: ignore[attr-defined]
        if context is not None:
            trigger.render_template_fields(context=context)
        return trigger


def _kwargs(serialized: Any) -> dict[str, Any]:
    try:
        kwargs = serde.deserialize(serialized or {})
    except (ImportError, KeyError, AttributeError, TypeError):
        from airflow.serialization.serialized_objects import BaseSerialization

        kwargs = BaseSerialization.deserialize(serialized)
    return {key: smart_decode_trigger_kwargs(value) for key, value in kwargs.items()}


async def _first_event(events: AsyncIterator[TriggerEvent]) -> dict[str, Any]:
    try:
        async for event in events:
            log.info("Trigger fired event", result=repr(event))
            return _described(event)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        log.exception("Trigger failed")
        return _failed(error)
    log.error("Trigger exited without sending an event; its task is resumed to fail")
    return _failed(None, "the trigger ended without an event")


def _described(event: Any) -> dict[str, Any]:
    if not isinstance(event, TriggerEvent):
        text = f"the trigger yielded {type(event).__name__}, not a TriggerEvent"
        log.error(text)
        return _failed(None, text)
    try:
        if isinstance(event, BaseTaskEndEvent):
            xcoms = {key: _plain(value) for key, value in (event.xcoms or {}).items()}
            return {"outcome": "ended", "state": str(event.task_instance_state), "xcoms": xcoms}
        return {"outcome": "event", "event": _plain(event.payload)}
    except Exception as error:
        log.exception("What the trigger yielded cannot be serialized")
        return _failed(error)


def _plain(value: Any) -> Any:
    """Serialize as the SDK does it, down to what JSON can hold."""
    return json.loads(json.dumps(serde.serialize(value), allow_nan=False))


def _failed(error: BaseException | None, text: str = "") -> dict[str, Any]:
    lines = traceback.format_exception(error) if error is not None else [text]
    return {
        "outcome": "failed",
        "error": TRIGGER_FAILURE,
        "summary": traceback.format_exception_only(error)[-1].strip() if error is not None else text,
        "traceback": [line.rstrip("\n") for line in lines],
    }


async def _let_finish(events: Any) -> None:
    """Let the trigger do what it still wants to do after its event; a further event ends it, too."""
    with contextlib.suppress(Exception):
        with anyio.fail_after(_AFTER_EVENT):
            await anext(events, None)
    if hasattr(events, "aclose"):
        with contextlib.suppress(Exception):
            with anyio.fail_after(_AFTER_EVENT):
                await events.aclose()


async def _bounded(what: str, work: Any, seconds: float) -> None:
    """Give a last wish of a trigger its time. What it raises harms nobody."""
    try:
        with anyio.fail_after(seconds):
            await work
    except TimeoutError:
        log.warning(f"the trigger's {what}() took longer than {seconds:g} s and was given up")
    except Exception:
        log.warning(f"the trigger's {what}() raised", exc_info=True)
