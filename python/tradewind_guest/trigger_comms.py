"""The channel of the trigger host: many triggers ask over one socket, and each answer finds the one that asked.

A frame is what tasks send and receive, with the number of the trigger as a fourth part. Frame id 0 is no question: the
supervisor's orders one way, what became of triggers the other way.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import itertools
import threading
from collections.abc import AsyncIterator
from typing import Any

import greenback
import msgspec
from airflow.sdk.api.datamodels._generated import HITLDetailResponse
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import comms
from pydantic import TypeAdapter

#: The number of the trigger that runs here. It goes along into tasks and threads that the trigger starts.
CURRENT: contextvars.ContextVar[int | None] = contextvars.ContextVar("trigger", default=None)

_HITL_RESPONSE = "HITLDetailResponseResult"


class Channel:
    """Stands where a running task has its channel to the supervisor (``SUPERVISOR_COMMS``)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._encoder = comms._new_encoder()
        self._decoder = msgspec.msgpack.Decoder()
        self._bodies: TypeAdapter[Any] = comms.TypeAdapter(comms.ToTask)

    async def orders(self) -> AsyncIterator[dict[str, Any]]:
        """Give out the supervisor's orders, and its answers to those who wait for them, until it closes the channel."""
        while True:
            try:
                size = int.from_bytes(await self._reader.readexactly(4), "big")
                number, body, *rest = self._decoder.decode(await self._reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return
            if number == 0:
                yield body
            elif (future := self._waiting.pop(number, None)) is not None and not future.done():
                future.set_result([body, *rest])

    def tell(self, body: dict[str, Any]) -> None:
        """Tell the supervisor something that needs no answer."""
        self._write([0, body])

    def send(self, msg: Any) -> Any:
        """Ask from synchronous code: in a thread, or in the middle of a coroutine."""
        question = self._ask(msg, CURRENT.get())
        if threading.get_ident() != self._thread:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result()
        if not greenback.has_portal():
            question.close()
            raise RuntimeError(
                f"{type(msg).__name__} cannot be asked here: use the asynchronous form, or asyncio.to_thread"
            )
        return greenback.await_(question)

    async def asend(self, msg: Any) -> Any:
        """Ask from a coroutine, of whatever event loop."""
        question = self._ask(msg, CURRENT.get())
        if asyncio.get_running_loop() is self._loop:
            return await question
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question, self._loop))

    async def _ask(self, msg: Any, trigger: int | None) -> Any:
        if trigger is None:
            raise RuntimeError(
                f"{type(msg).__name__} was asked in a thread of its own, so nobody can say for which trigger: start it "
                "with asyncio.to_thread or contextvars.copy_context().run"
            )
        number = next(self._ids)
        future = self._waiting[number] = self._loop.create_future()
        try:
            self._write([number, msg.model_dump(), None, trigger])
            body, *rest = await future
        finally:
            self._waiting.pop(number, None)
        if rest and rest[0] is not None:
            raise AirflowRuntimeError(error=comms.ErrorResponse.model_validate(rest[0]))
        if body is None:
            return None
        if body["type"] == _HITL_RESPONSE:
            # Only triggers get this one, so it is not among what tasks understand.
            return HITLDetailResponse.model_validate({key: body[key] for key in body if key != "type"})
        return self._bodies.validate_python(body)

    def _write(self, frame: list[Any]) -> None:
        data = self._encoder.encode(frame)
        self._writer.write(len(data).to_bytes(4, "big") + data)


class ContextThreads(concurrent.futures.ThreadPoolExecutor):
    """Threads that know for which trigger they work."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)
