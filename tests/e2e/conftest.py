"""Fixtures: a standalone system for a module, and a cluster for a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Standalone, standalone  # noqa: E402


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A standalone system with an empty DAG folder, shared by the tests of a module."""
    with standalone(tmp_path_factory.mktemp("standalone")) as running:
        yield running.start()
