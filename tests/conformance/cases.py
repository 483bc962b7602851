"""Cases: DAG files with, in their docstring, what they cover and how they are driven.

The docstring's first line says what the file covers. What follows a line `scenario:` is YAML: a list of steps, each one
either a word (`wait`) or a map of one step to its arguments (`trigger: {conf: {a: 1}}`); see README.md for the steps.
A line `options:` (YAML too, before `scenario:`) holds options of the case.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
DAGS = HERE / "dags"
GOLDENS = HERE / "goldens"
DEFAULT_SCENARIO: list[Any] = ["trigger", "wait"]
KNOWN_OPTIONS = {"dags", "unpause", "ordered", "start_order", "drop", "patience", "files", "keep", "mismatch"}


class CaseError(Exception):
    """A DAG file that does not say properly how it is driven."""


@dataclass(frozen=True)
class Step:
    """One step of a scenario."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A DAG file and how it is driven."""

    name: str
    area: str
    path: Path
    title: str
    steps: list[Step]
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def dag_ids(self) -> list[str]:
        """The DAGs of the file: those that `options: {dags: [...]}` names, or the one named as the file."""
        return list(self.options.get("dags", [self.name]))

    @property
    def golden(self) -> Path:
        return GOLDENS / f"{self.name}.json"


def section(docstring: str, name: str) -> str | None:
    """The YAML after the line `name:` up to the next section or the end."""
    found: list[str] | None = None
    for line in docstring.splitlines():
        if line.strip() in ("scenario:", "options:"):
            if found is not None:
                break
            if line.strip() == f"{name}:":
                found = []
        elif found is not None:
            found.append(line)
    return None if found is None else "\n".join(found)


def step_of(raw: Any, path: Path) -> Step:
    if isinstance(raw, str):
        return Step(raw, {})
    if isinstance(raw, dict) and len(raw) == 1:
        ((name, args),) = raw.items()
        if isinstance(args, dict):
            return Step(name, args)
    raise CaseError(f"{path}: {raw!r} is not a step; write a word or {{step: {{argument: value}}}}")


def load_case(path: Path) -> Case:
    tree = ast.parse(path.read_text(), filename=str(path))
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise CaseError(f"{path}: the file has no docstring; its first line must say what the case covers")
    options = yaml.safe_load(section(docstring, "options") or "") or {}
    unknown = set(options) - KNOWN_OPTIONS
    if unknown:
        raise CaseError(f"{path}: unknown options {sorted(unknown)}; known are {sorted(KNOWN_OPTIONS)}")
    scenario = yaml.safe_load(section(docstring, "scenario") or "") or DEFAULT_SCENARIO
    return Case(
        name=path.stem,
        area=path.parent.name,
        path=path,
        title=docstring.splitlines()[0].strip(),
        steps=[step_of(raw, path) for raw in scenario],
        options=options,
    )


def all_cases(selected: list[str] | None = None) -> list[Case]:
    """Every case, or those whose name (or area) is selected, in order of their names."""
    cases = [load_case(path) for path in sorted(DAGS.glob("*/*.py"))]
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise CaseError(f"two DAG files share the name {sorted(twice)}")
    if selected:
        known = set(names) | {case.area for case in cases}
        missing = [name for name in selected if name not in known]
        if missing:
            raise CaseError(f"no case or area is named {', '.join(missing)}")
        cases = [case for case in cases if case.name in selected or case.area in selected]
    return cases
