"""pytest in Tradewind's Python environment: the layer is in force before a test file is read.

``python/prepare.sh`` makes it known to pytest; elsewhere ``-p tradewind_guest.compat.pytest_plugin`` does.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

from tradewind_guest.compat import report, testing

# Here, not in a hook: the conftest files of the user may import Airflow, and are read before any hook is called.
testing.prepare()


def pytest_configure(config: Any) -> None:
    """Put the layer in force, and make files beside the tests importable as Airflow 2's own set-up did."""
    testing.start()
    root = str(Path(str(config.rootpath)).resolve())
    if root not in sys.path:
        sys.path.append(root)
    report.listen(_warn)


def pytest_unconfigure(config: Any) -> None:
    """Stop telling of uses."""
    report.listen(None)


def _warn(frame: FrameType | None, old: str, new: str, note: str | None) -> None:
    if frame is not None:
        text = f"{old} is of Airflow 2: use {new}" + (f" ({note})" if note else "")
        warnings.warn_explicit(text, DeprecationWarning, frame.f_code.co_filename, frame.f_lineno)
