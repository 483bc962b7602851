"""pytest in Tradewind's Python environment: the layer is in force as soon as a test imports Airflow.

``python/prepare.sh`` makes it known to pytest; elsewhere ``-p tradewind_guest.compat.pytest_plugin`` does. A test run that
never imports Airflow is left as it is, and so are the processes that it starts.
"""

from __future__ import annotations

import warnings
from types import FrameType
from typing import Any

from tradewind_guest.compat import report, testing


def pytest_unconfigure(config: Any) -> None:
    """Stop telling of uses."""
    report.listen(None)


def _warn(frame: FrameType | None, old: str, new: str, note: str | None) -> None:
    if frame is not None:
        text = f"{old} is of Airflow 2: use {new}" + (f" ({note})" if note else "")
        warnings.warn_explicit(text, DeprecationWarning, frame.f_code.co_filename, frame.f_lineno)


# Here, not in a hook: the conftest files of the user may import Airflow, and are read before most hooks are called.
testing.start_with_airflow(lambda: report.listen(_warn))
