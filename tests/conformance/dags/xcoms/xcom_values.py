"""Values through serde: dates, decimals, sets, tuples, dataclasses, enums, bytes, NaN, and what cannot be pushed."""

import dataclasses
import datetime
import decimal
import enum
import math
import uuid

from airflow.sdk import DAG, Asset, task


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


VALUES = {
    "text": "text with \N{SNOWMAN}",
    "big": 2**70,
    "floats": [0.1, 2.0, -1.5],
    "date": datetime.date(2026, 1, 1),
    "aware": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc),
    "naive": datetime.datetime(2026, 1, 1, 12),
    "delta": datetime.timedelta(days=1, seconds=2.5),
    "decimal": decimal.Decimal("1.10"),
    "set": {3},
    "frozenset": frozenset({3}),
    "tuple": (1, "a", None),
    "nested": {"list": [{"a": (1, 2)}], "none": None},
    "dataclass": Point(1, 2),
    "enum": Colour.RED,
    "bytes": b"abc",
    "uuid": uuid.UUID(int=5),
    "nan": math.nan,
    "infinity": math.inf,
    "object": object(),
    "function": len,
    "exception": ValueError("x"),
    "asset": Asset("x-conformance://xcom_values/a"),
    "dict_of_ints": {1: "one"},
}

with DAG("xcom_values", schedule=None):
    for name in VALUES:

        @task(task_id=f"push_{name}")
        def push(name: str):
            return VALUES[name]

        @task(task_id=f"pull_{name}")
        def pull(value) -> str:
            return f"{type(value).__name__}: {value!r}"

        pull(push(name))
