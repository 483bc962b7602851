"""redis, against a real server with a password."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.redis.hooks.redis import RedisHook
from airflow.providers.redis.operators.redis_publish import RedisPublishOperator
from airflow.providers.redis.sensors.redis_key import RedisKeySensor
from airflow.providers.redis.sensors.redis_pub_sub import RedisPubSubSensor
from airflow.providers.redis.triggers.redis_await_message import AwaitMessageTrigger
from airflow.sdk import DAG, BaseOperator, task


class AwaitMessage(BaseOperator):
    """Waits for a message in a trigger."""

    def execute(self, context):
        trigger = AwaitMessageTrigger(channels=["providers:news"], redis_conn_id="redis", poll_interval=0.2)
        self.defer(trigger=trigger, method_name="heard")

    def heard(self, context, event):
        return event["data"]



with DAG("redis", schedule=None, start_date=datetime(2025, 1, 1), tags=["providers"]):

    @task
    def listeners() -> None:
        """Waits until two listen: what is published before is lost, that is how Redis does it."""
        import time

        client = RedisHook(redis_conn_id="redis").get_conn()
        until = time.monotonic() + 300
        while client.pubsub_numsub("providers:news")[0][1] < 2:
            assert time.monotonic() < until, "nobody listens"
            time.sleep(0.2)

    @task
    def with_hook() -> str:
        client = RedisHook(redis_conn_id="redis").get_conn()
        client.set("providers:key", "a value", ex=600)
        return client.get("providers:key").decode()

    AwaitMessage(task_id="wait")
    # Fails as it does under Airflow: what it pushes holds bytes, which no XCom may.
    RedisPubSubSensor(task_id="hear", redis_conn_id="redis", channels="providers:news", poke_interval=0.2)
    publish = RedisPublishOperator(
        task_id="publish", redis_conn_id="redis", channel="providers:news", message="{{ task.task_id }} speaks"
    )
    RedisKeySensor(task_id="key", redis_conn_id="redis", key="providers:key", poke_interval=0.5)
    listeners() >> publish
    with_hook()
