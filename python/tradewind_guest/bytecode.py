"""Keeps the bytecode of user files in a private folder instead of beside them."""

from __future__ import annotations

import importlib
import os
from typing import Any


def redirect(root: str, folder: str) -> None:
    """Send what Python would cache below ``root`` to ``folder``; installed packages keep their own caches.

    Python's own setting, ``sys.pycache_prefix``, is for all modules, and would have each installed package compiled
    once more. ``root`` must not change while ``folder`` is in use: Python tells versions of a file apart by its size
    and whole seconds only.
    """
    machinery: Any = importlib._bootstrap_external  # type: ignore[attr-defined]
    usual_place = machinery.cache_from_source
    prefix = root.rstrip(os.sep) + os.sep

    def place(path: str, *args: Any, **kwargs: Any) -> str:
        usual = usual_place(path, *args, **kwargs)
        return os.path.join(folder, usual[len(prefix) :]) if path.startswith(prefix) else usual

    machinery.cache_from_source = place
