"""An XCom backend of the user's own: its class may lie in the DAG folder, which only a child has.

Airflow resolves the class when its SDK is first imported, and that is in the zygote.
"""

from __future__ import annotations

import os
import sys

_VARIABLE = "AIRFLOW__CORE__XCOM_BACKEND"

_put_off: str | None = None


def put_off() -> None:
    """Hide a backend that is not Airflow's from the first import of the SDK."""
    global _put_off
    if not os.environ.get(_VARIABLE, "airflow.").startswith("airflow."):
        _put_off = os.environ.pop(_VARIABLE)


def take_up(bundle_dir: str) -> None:
    """Resolve such a backend, from the bundle if it is there."""
    if _put_off is None or os.environ.get(_VARIABLE) == _put_off:
        return
    os.environ[_VARIABLE] = _put_off
    from airflow.sdk.execution_time import task_runner, xcom

    if bundle_dir not in sys.path:
        sys.path.append(bundle_dir)
    xcom.XCom = task_runner.XCom = xcom.resolve_xcom_backend()
