"""Serves old modules and names to ``import``.

A module that is gone is made by a finder at the very end of ``sys.meta_path``: whatever really exists wins. A module
that exists but lost names gets a ``__getattr__``, which Python asks only for what the module does not have.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tradewind_guest.compat import report, table

#: How Airflow says that a name moved.
AIRFLOWS_OWN = re.compile(
    r"(?:The `)?([\w.]+)`?"
    r"(?: attribute is deprecated\. Please use| is deprecated and will be removed in a future version\. Use) "
    r"`?'?([\w.]+\w)"
)

_known: dict[str, table.OldModule] = {}
_packages: set[str] = set()
_modules: set[str] = set()
_after: dict[str, list[Callable[[ModuleType], None]]] = {}

#: Below a provider package, the first of these is where its own modules begin: it is made up only when the provider
#: itself is installed.
_KINDS = {"operators", "hooks", "sensors", "transfers", "triggers", "datasets", "assets", "utils", "secrets", "log"}


def install() -> None:
    """Read the tables and get in line for the imports to come."""
    _known.update(table.load())
    for name in _known:
        _packages.update(_parents(name))
    _modules.update(_known, _packages)
    sys.meta_path.insert(0, _Watcher())
    sys.meta_path.append(_Gone())
    for name in ("airflow.models", "airflow.operators", "airflow.sensors", "airflow.hooks", "airflow.utils"):
        importlib.import_module(name)
    for name in _modules:
        if name in sys.modules:
            attach(sys.modules[name])


def after_import(module: str, change: Callable[[ModuleType], None]) -> None:
    """Run ``change`` on a module: now if it is there, otherwise when it is first imported."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        change(loaded)
    else:
        _after.setdefault(module, []).append(change)


def _parents(name: str) -> list[str]:
    """List the packages above an old module, without ``airflow`` itself and without the roots of providers."""
    parts = name.split(".")
    lowest = 1
    if parts[:2] == ["airflow", "providers"]:
        lowest = next((at for at, part in enumerate(parts) if at > 2 and part in _KINDS), len(parts))
    return [".".join(parts[:end]) for end in range(lowest + 1, len(parts))]


class _Gone(MetaPathFinder, Loader):
    """Makes modules that are in the tables and nowhere else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _modules and _gone_above(fullname) is None:
            return None
        is_package = fullname in _packages or _gone_above(f"{fullname}.x") is not None
        return importlib.util.spec_from_loader(fullname, self, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "A module of Airflow 2; its names stand for those of today."
        attach(module)


def _gone_above(name: str) -> table.Target | None:
    """Return what is said of a package that is gone as a whole, for the modules that it had."""
    while "." in name:
        name = name.rpartition(".")[0]
        known = _known.get(name)
        if known is not None and known.whole is not None and known.whole.gone:
            return known.whole
    return None


class _Watcher(MetaPathFinder):
    """Tells us of modules that exist and that we have something to add to, once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _after and fullname not in _modules:
            return None
        for finder in sys.meta_path:
            if finder is self or isinstance(finder, _Gone):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Watched(spec.loader)
                return spec
        return None


class _Watched(Loader):
    """A loader that tells us when it is done."""

    def __init__(self, real: Loader) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._real
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        self._real.exec_module(module)
        attach(module)
        # A package of Airflow may bring modules into being that have no file.
        prefix = f"{module.__name__}."
        for name in [name for name in _known if name.startswith(prefix) and name in sys.modules]:
            attach(sys.modules[name])
        for change in _after.pop(module.__name__, []):
            change(module)


def attach(module: ModuleType) -> None:
    """Give a module its old names back."""
    name = module.__name__
    own = module.__dict__.get("__getattr__")
    if hasattr(own, "tradewind") or (name not in _modules and _gone_above(name) is None):
        return
    known = _known.get(name) or table.OldModule()
    if known.whole is None:
        # A few names of a package that is gone may have been kept.
        known = table.OldModule(known.names, _gone_above(name))
    made_up = isinstance(module.__loader__, _Gone)

    def fallback(attribute: str) -> Any:
        if attribute == "__all__" and made_up:
            return _public(known)
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        target = known.names.get(attribute)
        if target is not None:
            return _resolve(name, attribute, target)
        if own is not None:
            try:
                return _from_airflow(own, attribute)
            except AttributeError:
                if f"{name}.{attribute}" not in _modules and known.whole is None:
                    raise
        if f"{name}.{attribute}" in _modules:
            return importlib.import_module(f"{name}.{attribute}")
        if known.whole is not None:
            return _from_whole(name, attribute, known.whole)
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    fallback.tradewind = True  # type: ignore[attr-defined]
    module.__getattr__ = fallback  # type: ignore[method-assign]


def _from_airflow(own: Callable[[str], Any], attribute: str) -> Any:
    """Ask the ``__getattr__`` that the module has, and take its word that the name is deprecated as a use."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = own(attribute)
    for warning in caught:
        moved = AIRFLOWS_OWN.search(str(warning.message))
        if moved:
            report.use(moved[1], moved[2])
        else:
            warnings.warn(warning.message, warning.category, stacklevel=3)
    return found


def _resolve(module: str, attribute: str, target: table.Target) -> Any:
    if target.gone:
        raise _gone(f"{module}.{attribute}", target)
    found = importlib.import_module(target.module)
    for part in str(target.name).split("."):
        found = getattr(found, part)
    report.use(f"{module}.{attribute}", target.say, target.note)
    return found


def _gone(old: str, target: table.Target) -> ImportError:
    return ImportError(f"{old} was dropped after Airflow 2 (hint: use {target.say})", name=old)


def _from_whole(module: str, attribute: str, target: table.Target) -> Any:
    if target.gone:
        raise _gone(f"{module}.{attribute}", target)
    found = getattr(importlib.import_module(target.module), attribute)
    report.use(f"{module}.{attribute}", f"{target.say}.{attribute}", target.note)
    return found


def _public(known: table.OldModule) -> list[str]:
    if known.whole is None or known.whole.gone:
        return list(known.names)
    there = importlib.import_module(known.whole.module)
    names = getattr(there, "__all__", None) or [name for name in vars(there) if not name.startswith("_")]
    return [*known.names, *names]
