"""Runs one task under the SDK's own task runner."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from airflow.sdk.execution_time import task_runner

from tradewind_guest import bytecode, log_sink


def run(prelude: dict[str, Any], requests: socket.socket, log_fd: int) -> None:
    """Set the process up as the SDK expects to find it, and hand over.

    The task speaks to the supervisor over fd 0, which is bidirectional; its log goes as JSON lines to ``log_fd``.
    """
    os.environ.update(prelude["env"])
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
    os.dup2(requests.fileno(), 0)
    requests.close()

    log_sink.SINK.open(log_fd)
    task_runner.main()
