"""Writes trigger_rules.txt: what Airflow's own evaluator of trigger rules says, for all small sets of upstream states.

Run it with an interpreter that has apache-airflow-core (the repository's .venv): `python tests/vectors/trigger_rules.py`.

The evaluator is `TriggerRuleDep._get_dep_statuses`, unchanged. It gets real objects: a DAG that went through Airflow's
serialization, `TaskInstance`s of its tasks, and a `DepContext` as the scheduler's (`flag_upstream_failed=True`) whose list
of finished task instances is given instead of read from a database. Two methods of the task instance would need that
database and are replaced: `get_dagrun` (its answer is not looked at then) and `set_state` (the state is noted).

A line of the first part is `success failed upstream_failed skipped removed unfinished` and, for each map index of the
heading, one letter a rule, in the order of the heading. A line of the second part is the same counts for plain tasks, then
for setups, and one letter for all_done_setup_success (as the rule of a teardown). The letters: r ready, w wait, and a new
state: s skipped, u upstream_failed, x removed; a capital when the rule would pass nevertheless.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp())

import pendulum  # noqa: E402
from airflow.models.taskinstance import TaskInstance  # noqa: E402
from airflow.sdk import DAG, TriggerRule  # noqa: E402
from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402
from airflow.ti_deps.dep_context import DepContext  # noqa: E402
from airflow.ti_deps.deps.trigger_rule_dep import TriggerRuleDep  # noqa: E402
from airflow.utils.state import TaskInstanceState  # noqa: E402

OUT = Path(__file__).parent / "trigger_rules.txt"
STATES = [
    TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, TaskInstanceState.SKIPPED,
    TaskInstanceState.REMOVED, TaskInstanceState.RUNNING,
]
RULES = sorted(rule.value for rule in TriggerRule)
MAP_INDEXES = [-1, 0, 1, 2, 5]
LETTERS = {
    TaskInstanceState.SKIPPED: "s", TaskInstanceState.UPSTREAM_FAILED: "u", TaskInstanceState.REMOVED: "x",
}
LARGEST, LARGEST_WITH_SETUPS = 5, 4
Counts = tuple[int, ...]


def dag_with(plain: int, setups: int, rule: str, teardown: bool) -> Any:
    with DAG("vectors", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
        upstream = [EmptyOperator(task_id=f"plain_{number}") for number in range(plain)]
        upstream += [EmptyOperator(task_id=f"setup_{number}").as_setup() for number in range(setups)]
        if teardown:
            task = EmptyOperator(task_id="task").as_teardown()
            assert task.trigger_rule == rule
        else:
            task = EmptyOperator(task_id="task", trigger_rule=rule)
        if upstream:
            upstream >> task
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def instance(task: Any, state: TaskInstanceState | None, map_index: int = -1) -> TaskInstance:
    found = TaskInstance(task=task, run_id="run", map_index=map_index, state=state, dag_version_id=None)
    found.task = task
    return found


def verdict(dag: Any, states: list[TaskInstanceState], map_index: int) -> str:
    """The letter for the task "task" over upstream tasks in these states, plain ones first."""
    task = dag.get_task("task")
    upstream_ids = sorted(task.upstream_task_ids)
    upstream = [instance(dag.get_task(name), state) for name, state in zip(upstream_ids, states, strict=True)]
    finished = [one for one in upstream if one.state != TaskInstanceState.RUNNING]
    one = instance(task, None, map_index)
    noted: list[TaskInstanceState] = []
    one.get_dagrun = lambda session: None
    one.set_state = lambda state, session: noted.append(state) or True
    context = DepContext(flag_upstream_failed=True, finished_tis=finished)
    passes = all(status.passed for status in TriggerRuleDep()._get_dep_statuses(one, context, session=None))
    if not noted:
        return "r" if passes else "w"
    letter = LETTERS[noted[-1]]
    return letter.upper() if passes else letter


def multisets(kinds: int, most: int) -> list[Counts]:
    return [
        tuple(chosen.count(kind) for kind in range(kinds))
        for size in range(most + 1)
        for chosen in itertools.combinations_with_replacement(range(kinds), size)
    ]


def states(counts: Counts) -> list[TaskInstanceState]:
    return [state for state, count in zip(STATES, counts, strict=True) for _ in range(count)]


def main() -> None:
    made = " ".join(f"{name} {version(name)}" for name in ("apache-airflow-core",))
    lines = [f"# {made}", f"rules {' '.join(RULES)}", f"map_indexes {' '.join(map(str, MAP_INDEXES))}"]
    dags = {(size, rule): dag_with(size, 0, rule, False) for size in range(LARGEST + 1) for rule in RULES}
    for counts in multisets(len(STATES), LARGEST):
        words = [
            "".join(verdict(dags[sum(counts), rule], states(counts), map_index) for rule in RULES)
            for map_index in MAP_INDEXES
        ]
        lines.append(f"{' '.join(map(str, counts))} {' '.join(words)}")
    lines.append("setups")
    shapes = [(plain, setups) for plain in range(5) for setups in range(5) if plain + setups <= LARGEST_WITH_SETUPS]
    scoped = {shape: dag_with(*shape, "all_done_setup_success", True) for shape in shapes}
    for counts in multisets(2 * len(STATES), LARGEST_WITH_SETUPS):
        plain, setups = counts[: len(STATES)], counts[len(STATES) :]
        letter = verdict(scoped[sum(plain), sum(setups)], states(plain) + states(setups), -1)
        lines.append(f"{' '.join(map(str, counts))} {letter}")
    OUT.write_text("\n".join(lines) + "\n")
    print(len(lines), "lines")


if __name__ == "__main__":
    main()
