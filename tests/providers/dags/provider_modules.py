"""What a provider package says it consists of."""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any


def modules_of(name: str) -> list[str]:
    """All modules with operators, sensors, hooks, triggers, transfers, notifiers, secrets backends and the like."""
    info = next(point.load()() for point in distribution(name).entry_points if point.group == "apache_airflow_provider")
    return sorted(set(_listed(info)) | set(_transfers(info)) | set(_classes(info)) | set(info.get("filesystems", ())))


def _listed(info: dict[str, Any]):
    for kind in ("operators", "sensors", "hooks", "triggers"):
        for group in info.get(kind, ()):
            yield from group.get("python-modules", ())


def _transfers(info: dict[str, Any]):
    for transfer in info.get("transfers", ()):
        yield transfer["python-module"]


def _classes(info: dict[str, Any]):
    """Modules of what is named by its class."""
    for kind in ("notifications", "secrets-backends", "logging", "queues"):
        for name in info.get(kind, ()):
            if isinstance(name, str):
                yield name.rpartition(".")[0]
    for kind, key in (("connection-types", "hook-class-name"), ("task-decorators", "class-name"), ("plugins", "plugin-class")):
        for entry in info.get(kind, ()):
            yield entry[key].rpartition(".")[0]
