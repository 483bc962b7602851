"""What the layer adds to the report on one DAG file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tradewind_guest.compat import uses
from tradewind_guest.compat.redirects import AIRFLOWS_OWN
from tradewind_guest.compat.report import Collector

_WARNING = re.compile(r"^(.*?):(\d+): ([\w.]+): (.*)$", re.DOTALL)
_LAZY = re.compile(r"Import '(\w+)' directly from the airflow module .* from '([\w.]+)'")
_FROM = re.compile(r"Importing (\w+) from '([\w.]+)' is deprecated .* Please import from '([\w.]+)'")
_SAID_ALREADY = re.compile(r"Setting email\w* on a task is deprecated|Using Variable\.\w+ from `airflow\.models`")

_HERE = f"{Path(__file__).parent}/"

#: Names that no Airflow ever had, and what is meant.
NEVER_NAMES = {
    "SageMakerCreateModelOperator": "airflow.providers.amazon.aws.operators.sagemaker.SageMakerModelOperator",
    "S3FileTransferOperator": "airflow.providers.amazon.aws.transfers.local_to_s3.LocalFilesystemToS3Operator",
}


def take_moved(lines: Iterable[str], collector: Collector) -> list[str]:
    """Turn Airflow's own warnings about old names into uses; return the other warnings."""
    others = []
    for line in lines:
        warning = _WARNING.match(line)
        if warning is None:
            others.append(line)
            continue
        moved = AIRFLOWS_OWN.search(warning[4])
        lazy = _LAZY.search(warning[4])
        named = _FROM.search(warning[4])
        if moved:
            collector.add(warning[1], int(warning[2]), moved[1], moved[2], None)
        elif lazy:
            collector.add(warning[1], int(warning[2]), f"airflow.{lazy[1]}", lazy[2], None)
        elif named:
            name, old, new = named.groups()
            collector.add(warning[1], int(warning[2]), f"{old}.{name}", f"{new}.{name}", None)
        elif warning[1].startswith(_HERE) and warning[3].endswith("DeprecatedImportWarning"):
            pass  # A module of Airflow that we loaded for an old name; that name has been told.
        elif not _SAID_ALREADY.search(warning[4]):
            others.append(line)
    return others


def deprecations(collector: Collector, file: Path, imported: Iterable[str]) -> list[dict[str, Any]]:
    """Return all uses in a DAG file and in the files below the root that it imported."""
    for path in [file, *map(Path, imported)]:
        if path.suffix == ".py":
            uses.note_uses(path, collector)
    return collector.entries(file)


def with_hint(text: str) -> str:
    """Say what is meant by a name that never existed."""
    for name, meant in NEVER_NAMES.items():
        if re.search(rf"(?:cannot import name|name|no attribute) '{name}'", text):
            return f"{text.rstrip()} (hint: no Airflow has {name}; meant is {meant})"
    return text
