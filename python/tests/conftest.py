from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from supervisor import Supervisor  # noqa: E402


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """One warm zygote for all tests."""
    running = Supervisor(tmp_path_factory.mktemp("home"))
    yield running
    running.close()
