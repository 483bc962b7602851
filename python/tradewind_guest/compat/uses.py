"""Uses of removed context keys and attributes, which show only when a task runs: read from the text of a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tradewind_guest.compat.context import REMOVED_KEYS
from tradewind_guest.compat.report import Collector

#: Attributes of a value with one of these names -> attribute -> what it is today.
ATTRIBUTES = {
    ("ti", "task_instance", "dag_run", "dagrun"): {"execution_date": "logical_date"},
    ("dag_run", "dagrun"): {
        "external_trigger": "run_type == 'manual'",
        "is_backfill": "run_type == 'backfill'",
        "get_task_instance": "ti.get_task_states(dag_id=, task_ids=, run_ids=)",
        "get_task_instances": "ti.get_task_states(dag_id=, run_ids=)",
    },
    ("TriggerRule",): {
        "DUMMY": "TriggerRule.ALWAYS",
        "NONE_FAILED_OR_SKIPPED": "TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS",
    },
}

#: Arguments of tasks that still work, with a warning of Airflow's, and what replaces them.
EMAIL_ARGUMENTS = ("email", "email_on_failure", "email_on_retry")
_NOTIFIER = "airflow.providers.smtp.notifications.smtp.SmtpNotifier among the callbacks"

_WORDS = re.compile(
    r"\b(?:"
    + "|".join([*REMOVED_KEYS, *EMAIL_ARGUMENTS, *(name for table in ATTRIBUTES.values() for name in table)])
    + r")\b"
)
_IN_TEMPLATE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_KEY = re.compile(r"(?<![\w.'\"])(" + "|".join(REMOVED_KEYS) + r")\b(?!\s*=[^=])")


def note_uses(file: Path, collector: Collector) -> None:
    """Add the uses in one file. A file that cannot be read or parsed has none: its import says why."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if not _WORDS.search(text):
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for line, old, new in [*_keys(tree), *_attributes(tree), *_templates(tree), *_emails(tree)]:
        collector.add(str(file), line, old, new, None)


def _keys(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    called = _callables(tree)
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        arguments = function.args
        if function.name in called or function.name == "execute" or any(map(_is_task, function.decorator_list)):
            for argument in [*arguments.args, *arguments.kwonlyargs]:
                if argument.arg in REMOVED_KEYS:
                    yield argument.lineno, f"context key {argument.arg}", REMOVED_KEYS[argument.arg]
        contexts = {"context", *([arguments.kwarg.arg] if arguments.kwarg else [])}
        for node in ast.walk(function):
            key = _key_of(node, contexts)
            if key in REMOVED_KEYS:
                yield node.lineno, f"context key {key}", REMOVED_KEYS[key]  # type: ignore[attr-defined]


def _key_of(node: ast.AST, contexts: set[str]) -> str | None:
    match node:
        case ast.Subscript(value=ast.Name(id=base), slice=ast.Constant(value=str() as key)) if base in contexts:
            return key
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id=base), attr="get"), args=[ast.Constant(value=str() as key), *_]
        ) if base in contexts:
            return key
    return None


def _callables(tree: ast.AST) -> set[str]:
    """List the functions that are handed to operators, or asked back by them."""
    return {
        keyword.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg and re.search("callable|callback", keyword.arg) and isinstance(keyword.value, ast.Name)
    }


def _is_task(decorator: ast.expr) -> bool:
    while isinstance(decorator, (ast.Call, ast.Attribute)):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    return isinstance(decorator, ast.Name) and decorator.id == "task"


def _attributes(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = _name(node.value)
        for owners, table in ATTRIBUTES.items():
            if owner in owners and node.attr in table:
                yield node.lineno, f"{owner}.{node.attr}", table[node.attr]


def _name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str() as key)):
            return key
    return None


def _templates(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        for template in _IN_TEMPLATE.finditer(node.value):
            for key in _KEY.finditer(template[0]):
                before = node.value.count("\n", 0, template.start() + key.start())
                spans = (node.end_lineno or node.lineno) > node.lineno
                yield node.lineno + (before if spans else 0), f"{{{{ {key[1]} }}}}", REMOVED_KEYS[key[1]]


def _emails(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Find them among the arguments of a call that has a ``task_id``, and in dicts that are named like default_args."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(keyword.arg == "task_id" for keyword in node.keywords):
            yield from _emails_among((keyword.arg, keyword.value) for keyword in node.keywords)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and _is_defaults(node.targets[0]):
            yield from _emails_among(_entries(node.value))
        elif isinstance(node, ast.keyword) and node.arg == "default_args" and isinstance(node.value, ast.Dict):
            yield from _emails_among(_entries(node.value))


def _is_defaults(target: ast.expr) -> bool:
    return "args" in str(_name(target))


def _entries(node: ast.Dict) -> Iterator[tuple[str | None, ast.expr]]:
    for key, value in zip(node.keys, node.values, strict=True):
        yield (key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None), value


def _emails_among(pairs: Iterable[tuple[str | None, ast.expr]]) -> Iterator[tuple[int, str, str]]:
    found = {name: value.lineno for name, value in pairs if name in EMAIL_ARGUMENTS}
    if "email" in found:
        for name, line in found.items():
            yield line, f"{name}=", _NOTIFIER
