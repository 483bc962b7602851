"""What the author of a DAG file asks beyond its serialized form.

Where is each DAG and task made? What is its code, by meaning? Which arguments and connections does it name? Where do its
dependencies go round? `tradewind dags check`, `diff` and `test --watch` ask; the DAG processor does not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from airflow.sdk.definitions.dag import DAG

from tradewind_guest import timetables
from tradewind_guest.meaning import Meaning, show

#: Arguments that are no part of what a task does, or that its place in the graph says already.
_NOT_SHOWN = frozenset(
    {"task_id", "dag", "task_group", "params", "default_args", "start_date", "end_date", "kwargs_to_upstream"}
)
#: Runs of a custom timetable that are looked ahead.
_AHEAD = 5
_CALLBACKS = ("on_execute_callback", "on_success_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback")


class Recorder:
    """Notes every DAG that is made in this process, and the line below ``root`` that made it and each of its tasks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._below = f"{root}{os.sep}"
        self._dags: list[tuple[DAG, dict[str, Any] | None]] = []
        self._tasks: dict[int, dict[str, Any] | None] = {}
        self._meaning = Meaning(root)
        self._install()

    def notes(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {"dags": [self._dag(dag, place) for dag, place in self._dags]}

    def _install(self) -> None:
        made, added, recorder = DAG.__attrs_post_init__, DAG.add_task, self

        def note_dag(dag: DAG) -> None:
            made(dag)
            recorder._dags.append((dag, recorder._place()))

        def note_task(dag: DAG, task: Any) -> None:
            # Before the check for ids that are taken, which ends the file.
            recorder._tasks[id(task)] = recorder._place()
            added(dag, task)

        DAG.__attrs_post_init__, DAG.add_task = note_dag, note_task

    def _place(self) -> dict[str, Any] | None:
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._below):
                return {"file": frame.f_code.co_filename[len(self._below) :], "line": frame.f_lineno}
            frame = frame.f_back
        return None

    def _dag(self, dag: DAG, place: dict[str, Any] | None) -> dict[str, Any]:
        tasks = list(dag.task_dict.values())
        return {
            "dag_id": dag.dag_id,
            "place": place,
            "code": self._meaning.of([getattr(dag, name, None) for name in ("on_success_callback", "on_failure_callback")]),
            "cycle": cycle({task.task_id: sorted(task.downstream_task_ids) for task in tasks}),
            "custom_runs": custom_runs(dag),
            "tasks": [self._task(task) for task in tasks],
        }

    def _task(self, task: Any) -> dict[str, Any]:
        given = arguments(task)
        callbacks = [getattr(task, name, None) for name in _CALLBACKS]
        files = templates(task, given)
        return {
            "task_id": task.task_id,
            "place": self._tasks.get(id(task)),
            "code": self._meaning.of([type(task), given, callbacks, files]),
            "callables": self._meaning.of([type(task), callables(given), callbacks, files]),
            "arguments": {name: show(value, self._root) for name, value in sorted(given.items())},
            "connections": connections(task, given),
        }


def custom_runs(dag: Any) -> dict[str, Any] | None:
    """When a DAG with a custom timetable runs next, or why that raises; the runs of others follow from their schedule."""
    if not timetables.is_custom(dag.timetable):
        return None
    try:
        return {"times": timetables.ahead(dag, _AHEAD)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def arguments(task: Any) -> dict[str, Any]:
    """The arguments that the DAG file gave, with those of ``default_args``."""
    if (partial := getattr(task, "partial_kwargs", None)) is not None:
        expand = getattr(task, getattr(task, "_expand_input_attr", "expand_input"), None)
        given = {
            "python_callable": getattr(task, "python_callable", None),
            **partial,
            "expand": getattr(expand, "value", None),
        }
    else:
        given = dict(getattr(task, "_BaseOperator__init_kwargs", {}))
    return {name: value for name, value in given.items() if name not in _NOT_SHOWN and not name.startswith("_")}


def callables(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are code."""
    return {name: value for name, value in given.items() if callable(value)}


def templates(task: Any, given: dict[str, Any]) -> list[bytes]:
    """What the template files hold that arguments name; they are read only when the task runs."""
    endings = tuple(getattr(task, "template_ext", ()) or ())
    dag = getattr(task, "dag", None)
    folders = [getattr(dag, "folder", None), *(getattr(dag, "template_searchpath", None) or ())]
    found = []
    for value in given.values():
        if endings and isinstance(value, str) and value.endswith(endings):
            for path in (Path(folder, value) for folder in folders if folder):
                if path.is_file():
                    found.append(path.read_bytes())
                    break
    return found


def connections(task: Any, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The connection ids that a task names, by the argument; templates are known only when the task runs."""
    found = {}
    for name, value in [*getattr(task, "__dict__", {}).items(), *given.items()]:
        name = name.lstrip("_")
        if name.endswith("conn_id") and isinstance(value, str) and value and "{{" not in value:
            found[name] = {"argument": name, "id": value, "is_default": name not in given}
    return [found[name] for name in sorted(found)]


def cycle(downstream: dict[str, list[str]]) -> list[str]:
    """A way round through tasks, its first one repeated at the end; empty when there is none."""
    done: set[str] = set()
    for start in downstream:
        path: list[str] = []
        open_: list[tuple[str, int]] = [(start, 0)]
        while open_:
            task, at = open_.pop()
            if at == 0:
                if task in path:
                    return [*path[path.index(task) :], task]
                if task in done:
                    continue
                path.append(task)
            below = downstream.get(task, [])
            if at < len(below):
                open_ += [(task, at + 1), (below[at], 0)]
            else:
                done.add(task)
                path.pop()
    return []
