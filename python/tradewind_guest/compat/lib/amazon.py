"""Sensors of the Amazon provider that were folded into others."""

from __future__ import annotations

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
