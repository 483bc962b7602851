"""A hash over what code and values mean, so that it changes when a task would do something else.

Functions count by their byte code, without comments, blank lines and line numbers; so do the functions, classes, modules
and plain values of the DAG folder that they use, however deep. Installed packages count by name only: the environment of a
DAG does not change between two saves.
"""

from __future__ import annotations

import datetime
import decimal
import dis
import enum
import functools
import hashlib
import os
import pathlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_SHOWN = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    decimal.Decimal,
    pathlib.PurePath,
    enum.Enum,
    re.Pattern,
)
# Where an object happens to lie, and how Airflow calls the module of a DAG file: by a hash of its path.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+|unusual_prefix_[0-9a-f]+_")


class Meaning:
    """Hashes values as the files below a folder define them."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root
        self._below = f"{root}{os.sep}"

    def of(self, value: Any) -> str:
        """A hash over a value and all that it uses."""
        digest = hashlib.sha256()
        for part in self._parts(value, {}):
            digest.update(part.encode(errors="surrogatepass"))
            digest.update(b"\0")
        return digest.hexdigest()

    def _parts(self, value: Any, seen: dict[int, Any]) -> Iterator[str]:
        if isinstance(value, _PLAIN):
            # The same folder may lie elsewhere next time.
            yield repr(value).replace(str(self._root), "")
        elif isinstance(value, _SHOWN):
            yield _ADDRESS.sub("", repr(value)).replace(str(self._root), "")
        elif id(value) in seen:
            yield "again"
        else:
            # Kept alive, so that no other object gets its id.
            seen[id(value)] = value
            yield from self._compound(value, seen)

    def _compound(self, value: Any, seen: dict[int, Any]) -> Iterator[str]:
        if isinstance(value, (list, tuple)):
            yield type(value).__name__
            for item in value:
                yield from self._parts(item, seen)
            yield "end"
        elif isinstance(value, dict):
            yield "dict"
            for key, item in value.items():
                yield from self._parts(key, seen)
                yield from self._parts(item, seen)
            yield "end"
        elif isinstance(value, (set, frozenset)):
            # Their order changes from process to process.
            yield f"set {sorted(map(repr, value))}"
        elif isinstance(value, types.FunctionType):
            yield from self._function(value, seen)
        elif isinstance(value, types.MethodType):
            yield from self._parts(value.__func__, seen)
            yield from self._parts(value.__self__, seen)
        elif isinstance(value, functools.partial):
            yield from self._parts((value.func, value.args, value.keywords), seen)
        elif isinstance(value, (staticmethod, classmethod)):
            yield from self._parts(value.__func__, seen)
        elif isinstance(value, property):
            yield from self._parts((value.fget, value.fset, value.fdel), seen)
        elif isinstance(value, types.ModuleType):
            yield from self._module(value, seen)
        elif isinstance(value, type):
            yield from self._class(value, seen)
        else:
            yield from self._instance(value, seen)

    def _function(self, function: types.FunctionType, seen: dict[int, Any]) -> Iterator[str]:
        # A function of the folder is what it does, under whatever name.
        is_elsewhere = self._is_elsewhere(function.__code__)
        yield f"function {function.__module__} {function.__qualname__}" if is_elsewhere else "function"
        # A wrapper of a package may hold the author's function in its closure.
        for cell in function.__closure__ or ():
            try:
                yield from self._parts(cell.cell_contents, seen)
            except ValueError:
                yield "empty cell"
        if is_elsewhere:
            return
        yield from self._parts((function.__defaults__, function.__kwdefaults__), seen)
        yield from self._code(function.__code__, function.__globals__, seen)

    def _code(self, code: types.CodeType, names: dict[str, Any], seen: dict[int, Any]) -> Iterator[str]:
        yield code.co_code.hex()
        yield repr((code.co_argcount, code.co_kwonlyargcount, code.co_flags, code.co_varnames, code.co_names))
        for const in code.co_consts:
            if isinstance(const, types.CodeType):
                yield from self._code(const, names, seen)
            else:
                yield from self._parts(const, seen)
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval in names:
                # `__file__` and the like say where, not what.
                if not instruction.argval.startswith("__"):
                    yield from self._parts(names[instruction.argval], seen)
            elif instruction.opname == "IMPORT_NAME":
                yield from self._files_of(instruction.argval)

    def _class(self, cls: type, seen: dict[int, Any]) -> Iterator[str]:
        yield f"class {'' if self._is_local(cls) else cls.__module__} {cls.__qualname__}"
        for base in cls.__mro__:
            if self._is_local(base):
                yield f"base {base.__qualname__}"
                for name, item in sorted(vars(base).items()):
                    if not (name.startswith("__") and name.endswith("__")) or isinstance(item, types.FunctionType):
                        yield name
                        yield from self._parts(item, seen)

    def _is_local(self, cls: type) -> bool:
        functions = (item for item in vars(cls).values() if isinstance(item, types.FunctionType))
        return any(not self._is_elsewhere(function.__code__) for function in functions) or self._defines(cls.__module__)

    def _defines(self, module: str) -> bool:
        file = getattr(sys.modules.get(module), "__file__", None)
        return isinstance(file, str) and file.startswith(self._below)

    def _module(self, module: types.ModuleType, seen: dict[int, Any]) -> Iterator[str]:
        yield f"module {module.__name__}"
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(self._below):
            return
        yield from _hash_of(pathlib.Path(file))
        # What it took from other files of the folder.
        for item in list(vars(module).values()):
            if isinstance(item, (types.ModuleType, types.FunctionType, type)):
                yield from self._parts(item, seen)

    def _files_of(self, module: str) -> Iterator[str]:
        """A module that a function imports while it runs: what its file below the folder holds now."""
        path = self._root.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                yield from _hash_of(file)

    def _instance(self, value: Any, seen: dict[int, Any]) -> Iterator[str]:
        if (task_id := getattr(value, "task_id", None)) is not None:
            yield f"task {task_id}"
            return
        if (operator := getattr(value, "operator", None)) is not None and hasattr(value, "key"):
            yield f"xcom {getattr(operator, 'task_id', None)} {value.key}"
            return
        is_local = self._is_local(type(value))
        yield f"{'' if is_local else type(value).__module__}.{type(value).__qualname__}"
        if is_local:
            yield from self._parts(type(value), seen)
            yield from self._parts(dict(getattr(value, "__dict__", {})), seen)
        elif callable(wrapped := getattr(value, "function", None) or getattr(value, "__wrapped__", None)):
            yield from self._parts(wrapped, seen)

    def _is_elsewhere(self, code: types.CodeType) -> bool:
        return not code.co_filename.startswith(self._below)


def _hash_of(file: pathlib.Path) -> Iterator[str]:
    try:
        yield hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        yield f"unreadable {error.errno}"


def show(value: Any, root: pathlib.Path) -> str:
    """A value for people: short, the same from parse to parse and wherever the folder ``root`` lies."""
    text = _ADDRESS.sub("", _shown(value, 0)).replace(f"{root}{os.sep}", "")
    return text if len(text) <= 2000 else f"{text[:2000]}..."


def _shown(value: Any, depth: int) -> str:
    if depth > 8:
        return "..."
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(k, depth + 1)}: {_shown(v, depth + 1)}" for k, v in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(_shown(item, depth + 1) for item in value)) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_shown(item, depth + 1) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    if isinstance(value, (types.FunctionType, type)):
        return value.__qualname__
    if isinstance(value, functools.partial):
        return f"partial({_shown(value.func, depth + 1)})"
    if (operator := getattr(value, "operator", None)) is not None and hasattr(value, "key"):
        return f"XCom({getattr(operator, 'task_id', None)!r}, {value.key!r})"
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - it is the user's code
        return f"<{type(value).__qualname__}>"
