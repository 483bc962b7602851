"""Runs one task under the SDK's own task runner."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time import task_runner

from tradewind_guest import bytecode, log_sink, streams, xcom_backend

if TYPE_CHECKING:
    from tradewind_guest.warm import Loaded


#: Beyond what programs that tidy up their descriptors usually go through one by one.
_LEAST_DESCRIPTOR = 200


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
    xcom_backend.take_up(prelude["bundle_dir"])


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
    task_runner.get_startup_details = _on_a_channel_apart
    task_runner._execute_task = _in_one_process
    task_runner.main()


#: The SDK's own.
_get_startup_details = task_runner.get_startup_details
_execute_task = task_runner._execute_task


def _in_one_process(*args: Any, **kwargs: Any) -> Any:
    """Execute the task. A child that it forked and that comes back as well must not report in its place."""
    process = os.getpid()
    try:
        return _execute_task(*args, **kwargs)
    except BaseException as error:
        if os.getpid() != process and not isinstance(error, SystemExit):
            traceback.print_exc()
        raise
    finally:
        if os.getpid() != process:
            streams.flush()
            os._exit(0)


def _on_a_channel_apart() -> Any:
    """Read the task's start, and have all further talk on a descriptor that no user code closes as "standard input".

    Descriptor 0 stays what it is: interpreters that the task starts may take it over.
    """
    details = _get_startup_details()
    comms = task_runner.SUPERVISOR_COMMS
    apart = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _LEAST_DESCRIPTOR)
    comms.socket.detach()
    comms.socket = socket.socket(fileno=apart)
    return details
