"""Small helpers of ``airflow.utils`` and ``airflow.models``."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

#: The limit that Airflow 2 had for its own database, in bytes. Nothing enforces it here.
MAX_XCOM_SIZE = 49344

PY310 = sys.version_info >= (3, 10)
PY311 = sys.version_info >= (3, 11)
PY312 = sys.version_info >= (3, 12)

#: States of a task that was being ended from outside.
terminating_states = frozenset({"shutdown", "restarting"})


def unchanged(function: T) -> T:
    """Return a function as it is: what this decorator did is always done."""
    return function


#: Filled in ``default_args``; every operator does that by itself.
apply_defaults = unchanged


def is_venv_installed() -> bool:
    """Say whether the package virtualenv can be used."""
    return shutil.which("virtualenv") is not None or importlib.util.find_spec("virtualenv") is not None


def get_attr_renderer() -> dict[str, Callable[[Any], str]]:
    """List the kinds of text that the UI told apart: operators chose one by asking whether it is there."""
    kinds = "bash doc_json doc_md doc_rst doc_yaml doc hql html jinja json md mysql postgresql powershell py rst sql tsql yaml"
    return dict.fromkeys(kinds.split(), str)


def mkdirs(path: str, mode: int = 0o777) -> None:
    """Make a folder and those above it."""
    Path(path).mkdir(mode=mode, parents=True, exist_ok=True)


def as_tuple(obj: Any) -> tuple[Any, ...]:
    """Return a list or another container as a tuple, and a single value as a tuple of one."""
    if not isinstance(obj, str) and hasattr(obj, "__iter__"):
        return tuple(obj)
    return (obj,)


def reduce_in_chunks(
    fn: Callable[[Any, list[Any]], Any], iterable: Iterable[Any], initializer: Any, chunk_size: int = 0
) -> Any:
    """Reduce a list a chunk at a time; all at once for a size of 0."""
    items = list(iterable)
    if not items:
        return initializer
    size = chunk_size or len(items)
    return functools.reduce(fn, (items[start : start + size] for start in range(0, len(items), size)), initializer)


class Singleton(type):
    """A metaclass whose classes have one instance."""

    _instances: dict[type, Any] = {}

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls not in Singleton._instances:
            Singleton._instances[cls] = super().__call__(*args, **kwargs)
        return Singleton._instances[cls]
