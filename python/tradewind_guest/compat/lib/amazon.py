"""Sensors of the Amazon provider that were folded into others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor


class S3PrefixSensor(S3KeySensor):
    """Waits for a key that begins with a prefix."""

    def __init__(self, *, prefix: str | list[str], delimiter: str = "/", **kwargs: Any) -> None:
        prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
        keys = [f"{given.rstrip('*')}*" for given in prefixes]
        super().__init__(bucket_key=keys, wildcard_match=True, **kwargs)
        self.prefix = prefix
        self.delimiter = delimiter


class S3KeySizeSensor(S3KeySensor):
    """Waits for keys whose objects are not empty, or that its own ``check_fn`` takes."""

    def __init__(self, *, check_fn: Callable[..., bool] | None = None, **kwargs: Any) -> None:
        super().__init__(check_fn=check_fn or _none_is_empty, **kwargs)


def _none_is_empty(files: list[dict[str, Any]], **_: Any) -> bool:
    return all(file.get("Size", 0) > 0 for file in files)
