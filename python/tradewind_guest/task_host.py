"""Runs one task under the SDK's own task runner."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time import task_runner

from tradewind_guest import bytecode, log_sink

if TYPE_CHECKING:
    from tradewind_guest.warm import Loaded


def prepare(prelude: dict[str, Any]) -> None:
    """Set up what the load of a DAG file finds."""
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(
        [
            {
                "name": prelude["bundle_name"],
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": prelude["bundle_dir"]},
            }
        ]
    )
    os.chdir(prelude["working_dir"])
    if prelude["bytecode_dir"]:
        bytecode.redirect(prelude["bundle_dir"], prelude["bytecode_dir"])
    else:
        sys.dont_write_bytecode = True


def run(prelude: dict[str, Any], requests: socket.socket, log_fd: int, loaded: Loaded | None = None) -> None:
    """Set the process up as the SDK expects to find it, and hand over.

    The task speaks to the supervisor over fd 0, which is bidirectional; its log goes as JSON lines to ``log_fd``.
    """
    os.environ.update(prelude["env"])
    if loaded is None:
        prepare(prelude)
    else:
        os.chdir(prelude["working_dir"])
    os.dup2(requests.fileno(), 0)
    requests.close()

    log_sink.SINK.open(log_fd)
    if loaded is not None:
        loaded.hand_over()
    task_runner.main()
