"""Triggers of the DAG folder."""

import asyncio
import os
import time

from airflow.sdk import Variable
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent


class Base(BaseTrigger):
    def __init__(self, **kwargs):
        super().__init__()
        self.kwargs = kwargs

    def serialize(self):
        return f"own_triggers.{type(self).__name__}", self.kwargs


class Echo(Base):
    async def run(self):
        print("echo in", os.getpid())
        yield TriggerEvent({"value": Variable.get("greeting", default=None), **self.kwargs})


class Ends(Base):
    async def run(self):
        yield TaskSuccessEvent(xcoms={"return_value": [1, 2]})


class Raises(Base):
    async def run(self):
        raise RuntimeError("in the middle")
        yield


class Unmakeable(Base):
    def __init__(self):
        raise ValueError("cannot be made")

    async def run(self):
        yield TriggerEvent(1)


class Forever(Base):
    async def run(self):
        print("waiting")
        await asyncio.sleep(1000)
        yield TriggerEvent(1)

    async def cleanup(self):
        self.log.info("cleaned up")


class Blocks(Base):
    async def run(self):
        time.sleep(1000)
        yield TriggerEvent(1)


class HoldsInterpreter(Base):
    async def run(self):
        sum(range(10**12))
        yield TriggerEvent(1)


class Secretive(Base):
    async def run(self):
        print("the word is " + Variable.get("api_token"))
        yield TriggerEvent(1)


class Waits(Base):
    async def run(self):
        await asyncio.sleep(self.kwargs["seconds"])
        yield TriggerEvent(self.kwargs.get("moment"))
