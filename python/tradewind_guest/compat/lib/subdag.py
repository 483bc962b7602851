"""``SubDagOperator``: the tasks of the sub-DAG become a task group of the DAG above it."""

from __future__ import annotations

import enum
from typing import Any

from airflow.exceptions import AirflowException
from airflow.sdk import DAG, TaskGroup
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext


class SkippedStatePropagationOptions(enum.Enum):
    """How skipped tasks of a sub-DAG were carried over. Within one DAG, trigger rules say that."""

    ALL_LEAVES = "all_leaves"
    ANY_LEAF = "any_leaf"


def SubDagOperator(  # noqa: N802 - a class of old
    *, task_id: str, subdag: DAG, dag: DAG | None = None, task_group: TaskGroup | None = None, **arguments: Any
) -> TaskGroup:
    """Move the tasks of ``subdag`` into a task group, and return the group.

    Task ids stay what they were, so that ``xcom_pull(task_ids=...)`` among them still works, unless one is taken in the
    DAG above: then all of them get the group's id in front.
    """
    parent = dag or DagContext.get_current()
    if parent is None:
        raise AirflowException(f"SubDagOperator {task_id!r}: give dag=, or make it in `with DAG(...)`")
    expected = f"{parent.dag_id}.{task_id}"
    if subdag.dag_id != expected:
        raise AirflowException(
            f"The subdag's dag_id should have the form '{{parent_dag_id}}.{{this_task_id}}'. "
            f"Expected {expected!r}; received {subdag.dag_id!r}."
        )
    taken = parent.task_group.used_group_ids
    clash = sorted(name for name in {*subdag.task_dict, *subdag.task_group_dict} if name in taken)
    if clash and subdag.task_group_dict:
        raise AirflowException(
            f"SubDagOperator {task_id!r}: the id {clash[0]!r} is taken in the DAG {parent.dag_id!r}; give the task or "
            "group of the sub-DAG another id"
        )
    group = TaskGroup(
        group_id=task_id,
        dag=parent,
        parent_group=task_group or TaskGroupContext.get_current(parent) or parent.task_group,
        prefix_group_id=bool(clash),
    )
    tasks = list(subdag.tasks)
    roots = list(subdag.roots)
    nodes = list(subdag.task_group.children.values())
    if clash:
        _rename(tasks, {task.task_id: group.child_id(task.task_id) for task in tasks})
    for node in nodes:
        _move(node, group, parent)
    for task in tasks:
        object.__setattr__(task, "_dag", None)
        task.dag = parent
    for root in roots:
        if arguments.get("trigger_rule"):
            root.trigger_rule = arguments["trigger_rule"]
    subdag.task_dict.clear()
    object.__setattr__(subdag, "task_group", TaskGroup.create_root(subdag))
    object.__setattr__(subdag, "is_subdag", True)
    return group


def _rename(tasks: list[Any], names: dict[str, str]) -> None:
    for task in tasks:
        object.__setattr__(task, "task_id", names[task.task_id])
        for relatives in (task.upstream_task_ids, task.downstream_task_ids):
            renamed = {names.get(name, name) for name in relatives}
            relatives.clear()
            relatives.update(renamed)


def _move(node: Any, group: TaskGroup, parent: DAG) -> None:
    if isinstance(node, TaskGroup):
        node.parent_group = group
        node.used_group_ids = parent.task_group.used_group_ids
        parent.task_group.used_group_ids.add(node.group_id)
        _own(node, parent)
        group.children[node.node_id] = node
    else:
        node.task_group = None
        group.add(node)


def _own(group: TaskGroup, parent: DAG) -> None:
    group.dag = parent
    for child in group.children.values():
        if isinstance(child, TaskGroup):
            parent.task_group.used_group_ids.add(child.group_id)
            _own(child, parent)
