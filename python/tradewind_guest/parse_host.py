"""Loads one DAG file with Airflow's own loader, and serializes what it holds with Airflow's own serializer."""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk.execution_time import task_runner
from airflow.serialization.serialized_objects import DagSerialization

from tradewind_guest import author, timetables, weights, wire
from tradewind_guest.compat import deadlines, imports, report
from tradewind_guest.parse_answers import ParseAnswers
from tradewind_guest.parse_errors import explain


#: The exit code when the file closed the channel.
NO_CHANNEL = 124


def run(prelude: dict[str, Any], channel: socket.socket) -> None:
    """Parse the file named in ``prelude`` and write the result to ``channel``."""
    confine(prelude, channel)
    recorder = author.Recorder(Path(prelude["dags_root"])) if prelude.get("author") else None
    process = os.getpid()
    result = parse(
        Path(prelude["dags_root"]),
        Path(prelude["file"]),
        prelude["bundle_name"],
        memory_limit_bytes=prelude["memory_limit_bytes"],
    )
    if os.getpid() != process:
        os._exit(0)  # A child that the file forked, and that came back from it as well: it is not asked.
    if recorder:
        result["notes"] = recorder.notes()
    try:
        wire.write_frame(channel, result)
    except OSError as error:
        print(f"the result could not be handed in: {error}", file=sys.stderr, flush=True)
        os._exit(NO_CHANNEL)
    except ValueError as error:
        wire.write_frame(channel, {**result, "dags": [], "errors": [explain(f"ValueError: {error}", None)]})


def confine(prelude: dict[str, Any], channel: socket.socket) -> None:
    """Prepare this process for a file that nobody has looked at yet."""
    faulthandler.enable()
    _limit(prelude["memory_limit_bytes"], prelude["cpu_limit_secs"])
    # Bytecode is matched to its source by size and whole seconds only: a quick edit would be missed.
    sys.dont_write_bytecode = True
    # A timeout inside of the limit of the supervisor can say where the file was when it struck.
    os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] = str(prelude["import_timeout_secs"])
    task_runner.SUPERVISOR_COMMS = ParseAnswers(
        prelude["variables"], prelude["connections"], channel if prelude.get("asks") else None
    )


def load(root: Path, file: Path, bundle_name: str) -> BundleDagBag:
    """Load a DAG file with Airflow's own loader."""
    with warnings.catch_warnings():
        # They come back in the result; printing them would only repeat it.
        warnings.simplefilter("default")
        warnings.showwarning = lambda *_, **__: None
        return BundleDagBag(dag_folder=str(file), bundle_path=root, bundle_name=bundle_name, load_op_links=False)


def parse(root: Path, file: Path, bundle_name: str, *, memory_limit_bytes: int) -> dict[str, Any]:
    """Load and serialize; everything that goes wrong in the file is an entry of ``errors``."""
    timetables.take_custom_classes()
    with report.collecting(root) as uses:
        bag = load(root, file, bundle_name)
    errors = [
        explain(imports.with_hint(text), str(file), memory_limit_bytes) for text in bag.import_errors.values()
    ]
    dags = []
    for dag_id in sorted(bag.dags):
        if getattr(bag.dags[dag_id], "is_subdag", False):
            continue  # Its tasks are a group of the DAG above it.
        try:
            deadlines.attach(bag.dags[dag_id])
            serialized = DagSerialization.to_dict(bag.dags[dag_id])
            if asked := weights.of_dag(bag.dags[dag_id]):
                serialized["priority_weights"] = asked
            dags.append(serialized)
        except Exception as error:
            errors.append(
                explain(f"DAG {dag_id!r} cannot be serialized: {type(error).__name__}: {error}", str(file))
            )
    loaded = _new_module_files()
    imported = sorted(path for path in loaded if path.startswith(f"{root}{os.sep}") and path != str(file))
    caught = imports.take_moved((line for lines in bag.captured_warnings.values() for line in lines), uses)
    return {
        "dags": dags,
        "errors": errors,
        "warnings": [_shorten(line, root) for line in caught],
        "deprecations": imports.deprecations(uses, file, imported) if str(file) in loaded else [],
        "imported_files": imported,
        # A file that was run has left its module behind; one that safe mode passed over has not.
        "skipped": not bag.dags and not errors and str(file) not in loaded,
    }


def _limit(memory_bytes: int, cpu_secs: int) -> None:
    with open("/proc/self/statm", "rb") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    ceiling = mapped + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_secs, cpu_secs + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _new_module_files() -> set[str]:
    """List the files of the modules that were loaded since the fork, newest first up to our own last one.

    Looking at the older ones too would touch, and so copy, most of the memory that is shared with the zygote.
    """
    found = set()
    for name in reversed(sys.modules):
        if name == __name__:
            break
        if isinstance(path := getattr(sys.modules[name], "__file__", None), str):
            found.add(path)
    return found


def _shorten(line: str, root: Path) -> str:
    return re.sub(re.escape(str(root)) + r"/?", "", line)
