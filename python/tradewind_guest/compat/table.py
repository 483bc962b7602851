"""The tables of moved names: ``old = new`` lines below ``[topic]`` heads in ``tables/*.txt``.

A side is ``package.module`` (the whole module) or ``package.module:name``. After a ``|`` stands how to say the new form
where that is not the name itself, and after a second one a remark. ``old = gone | what to use`` is a name that nothing
stands for: its import fails, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class Target:
    """What stands for an old name today."""

    module: str
    name: str | None
    say: str
    note: str | None = None

    @property
    def gone(self) -> bool:
        """Say whether nothing stands for the old name."""
        return not self.module


@dataclass
class OldModule:
    """What the tables know of one module of old."""

    names: dict[str, Target] = field(default_factory=dict)
    whole: Target | None = None


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    topic: str
    module: str
    name: str | None
    target: Target


def lines(path: Path) -> Iterator[Line]:
    """Read one table."""
    topic = path.stem
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            topic = text.strip("[]")
            continue
        try:
            yield _line(topic, text)
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: {error}: {text!r}") from None


def _line(topic: str, text: str) -> Line:
    old, equals, rest = text.partition(" = ")
    if not equals:
        raise ValueError("expected 'old = new'")
    new, _, remarks = rest.partition("|")
    module, _, name = old.strip().partition(":")
    new_module, _, new_name = new.strip().partition(":")
    say, _, note = remarks.partition("|")
    if new_module == "gone":
        return Line(topic, module, name or None, Target("", None, say.strip(), note.strip() or None))
    if bool(name) != bool(new_name):
        raise ValueError("a name must become a name, a module a module")
    said = say.strip() or (f"{new_module}.{new_name}" if new_name else new_module)
    return Line(topic, module, name or None, Target(new_module, new_name or None, said, note.strip() or None))


def load() -> dict[str, OldModule]:
    """Read all tables."""
    known: dict[str, OldModule] = {}
    for path in sorted(TABLES.glob("*.txt")):
        for line in lines(path):
            module = known.setdefault(line.module, OldModule())
            if line.name is None:
                module.whole = line.target
            else:
                module.names[line.name] = line.target
    return known
