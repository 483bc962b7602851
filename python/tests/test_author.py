"""What the author of a DAG file asks: where things are made, what their code means, where dependencies go round."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradewind_guest import author
from tradewind_guest.meaning import Meaning, show

FILE = """
from helper import twice
LIMIT = 3
NAMES = {"a", "b", "c"}
class Tool:
    size = 1
    def work(self, x):
        return x + self.size
def run(x, by=2):
    # a comment
    import late
    return Tool().work(twice(x)) + LIMIT + len(NAMES)
"""
HELPER = "def twice(x):\n    return 2 * x\n"
LATE = "VALUE = 1\n"


def meaning(folder: Path, file: str = FILE, helper: str = HELPER, late: str = LATE) -> str:
    """The meaning of ``run`` of a file in a folder of its own."""
    folder.mkdir()
    folder.joinpath("helper.py").write_text(helper)
    folder.joinpath("late.py").write_text(late)
    path = folder / "dag_file.py"
    path.write_text(file)
    sys.path.insert(0, str(folder))
    try:
        name = f"unusual_prefix_{abs(hash(folder)):x}_dag_file"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return Meaning(folder).of([module.run])
    finally:
        sys.path.remove(str(folder))
        for loaded in [name for name, module in sys.modules.items() if name == "helper" or name.startswith("unusual_")]:
            del sys.modules[loaded]


@pytest.fixture
def of(tmp_path: Path) -> Callable[..., str]:
    counter = iter(range(100))
    return lambda **parts: meaning(tmp_path / f"v{next(counter)}", **parts)


def test_comments_lines_and_places_mean_nothing(of: Callable[..., str]) -> None:
    assert of() == of(file="\n\n# moved\n" + FILE.replace("# a comment", "# another one\n"))


@pytest.mark.parametrize(
    "change",
    [
        {"file": FILE.replace("LIMIT = 3", "LIMIT = 4")},
        {"file": FILE.replace("by=2", "by=3")},
        {"file": FILE.replace("size = 1", "size = 2")},
        {"file": FILE.replace("x + self.size", "x - self.size")},
        {"file": FILE.replace('"c"}', '"d"}')},
        {"helper": HELPER.replace("2 * x", "3 * x")},
        {"late": "VALUE = 2\n"},
    ],
    ids=["global", "default", "attribute", "method", "set", "imported function", "module imported by the function"],
)
def test_what_a_function_uses_counts(of: Callable[..., str], change: dict[str, str]) -> None:
    assert of() != of(**change)


def test_a_cycle_is_a_way_round() -> None:
    assert author.cycle({"a": ["b"], "b": ["c", "x"], "c": ["d"], "d": ["b"], "x": []}) == ["b", "c", "d", "b"]
    assert author.cycle({"a": ["a"]}) == ["a", "a"]
    assert author.cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []


def test_a_long_chain_is_no_trouble() -> None:
    chain = {str(at): [str(at + 1)] for at in range(5000)}
    assert author.cycle(chain) == []
    assert len(author.cycle({**chain, "5000": ["0"]})) == 5002


def test_connections_are_named_by_their_argument() -> None:
    class Task:
        def __init__(self) -> None:
            self.aws_conn_id = "aws_default"
            self._hidden_conn_id = "{{ var.value.x }}"
            self.conn_id = "mine"

    found = author.connections(Task(), {"conn_id": "mine"})
    assert found == [
        {"argument": "aws_conn_id", "id": "aws_default", "is_default": True},
        {"argument": "conn_id", "id": "mine", "is_default": False},
    ]


def test_values_are_shown_the_same_every_time(tmp_path: Path) -> None:
    def named() -> None: ...

    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    value: Any = {"f": named, "s": {"b", "a"}, "p": f"{tmp_path}/x.sql", "o": object(), "odd": Odd()}
    shown = show(value, tmp_path)
    assert "'s': {'a', 'b'}" in shown and "'p': 'x.sql'" in shown and "<object object>" in shown
    assert "named" in shown and "0x" not in shown and "Odd" in shown
