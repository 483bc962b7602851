"""Drives a case on a system, step by step, and gathers its outcome."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from cases import DAGS, Case, CaseError, Step
from driver import FINISHED_RUN, Driver, Rejected
from normalize import normalize

PATIENCE = 90.0
POLL = 0.4
#: Set when the run is over or given up: whoever still waits need not.
STOPPING = threading.Event()


class ScenarioError(Exception):
    """A step that did not come to its end."""


class Scenario:
    """One case on one system."""

    def __init__(self, case: Case, driver: Driver, patience: float = 1.0) -> None:
        self.case = case
        self.driver = driver
        self.patience = float(case.options.get("patience", PATIENCE)) * patience
        self.triggered = 0
        self.notes: list[dict[str, Any]] = []
        self.backfills: list[Any] = []

    # --- helpers ----------------------------------------------------------------------------------------------------

    def until(self, what: str, check: Callable[[], object]) -> None:
        deadline = time.monotonic() + self.patience
        while not check():
            if time.monotonic() > deadline:
                raise ScenarioError(f"{what} did not happen within {self.patience:.0f} s")
            if STOPPING.wait(POLL):
                raise ScenarioError(f"given up while waiting for {what}")

    def dag_of(self, args: dict[str, Any]) -> str:
        return str(args.get("dag", self.case.dag_ids[0]))

    def run_of(self, args: dict[str, Any]) -> str:
        run_id = args.get("run_id", "run_1")
        if run_id == "latest":
            return sorted(self.driver.run_states(self.dag_of(args)))[-1]
        return str(run_id)

    def note(self, step: Step, **what: Any) -> None:
        self.notes.append({"step": step.name, **what})

    def attempt(self, step: Step, action: Callable[[], Any]) -> Any:
        """Runs what a step asks for; with `expect: rejected` in the step it must be refused, else it must not."""
        expected = step.args.get("expect") == "rejected"
        try:
            answer = action()
        except Rejected as refusal:
            if not expected:
                raise ScenarioError(f"{step.name} {step.args} was refused: {refusal}") from refusal
            self.note(step, rejected=True)
            return None
        if expected:
            self.note(step, rejected=False)
        return answer

    # --- steps ------------------------------------------------------------------------------------------------------

    def do_trigger(self, step: Step) -> None:
        args = step.args
        self.triggered += 1
        number = self.triggered
        run_id = args.get("run_id", f"run_{number}")
        date = args.get("logical_date", f"2026-01-{number:02d}T00:00:00+00:00")
        self.attempt(step, lambda: self.driver.trigger(self.dag_of(args), run_id, date, args.get("conf")))

    def do_wait(self, step: Step) -> None:
        """Until every run of the named DAG (or of all) is over; `count`: and there are so many."""
        dag_ids = [step.args["dag"]] if "dag" in step.args else self.case.dag_ids
        count = step.args.get("count")

        def over() -> bool:
            found = [state for dag_id in dag_ids for state in self.driver.run_states(dag_id).values()]
            if count is not None:
                return sum(state in FINISHED_RUN for state in found) >= count
            return bool(found) and all(state in FINISHED_RUN for state in found)

        self.until(f"the end of the runs of {', '.join(dag_ids)}", over)

    def do_wait_run(self, step: Step) -> None:
        wanted = step.args.get("state", list(FINISHED_RUN))
        wanted = [wanted] if isinstance(wanted, str) else wanted
        dag_id, run_id = self.dag_of(step.args), self.run_of(step.args)
        self.until(f"{dag_id} {run_id} in {wanted}", lambda: self.driver.run_states(dag_id).get(run_id) in wanted)

    def do_wait_task(self, step: Step) -> None:
        wanted = step.args["state"]
        wanted = [wanted] if isinstance(wanted, str) else wanted
        dag_id, run_id, task = self.dag_of(step.args), self.run_of(step.args), step.args["task"]
        self.until(
            f"{dag_id} {run_id} {task} in {wanted}",
            lambda: self.driver.task_states(dag_id, run_id).get(task) in wanted,
        )

    def do_wait_journal(self, step: Step) -> None:
        self.until(f"{step.args['lines']} lines in the journal", lambda: len(self.journal()) >= step.args["lines"])

    def do_settle(self, step: Step) -> None:
        """Lets time pass, to see that nothing more happens."""
        STOPPING.wait(float(step.args.get("seconds", 4)))

    def do_note_states(self, step: Step) -> None:
        """Puts the states of now into the outcome."""
        dag_id, run_id = self.dag_of(step.args), self.run_of(step.args)
        states = self.driver.task_states(dag_id, run_id)
        self.note(step, run=self.driver.run_states(dag_id).get(run_id), tasks=dict(sorted(states.items())))

    def do_clear(self, step: Step) -> None:
        args = {**step.args, "run_id": self.run_of(step.args)} if not step.args.get("start_date") else dict(step.args)
        cleared = self.attempt(step, lambda: self.driver.clear(self.dag_of(args), args))
        if cleared is not None:
            self.note(step, cleared=sorted(cleared))

    def do_mark(self, step: Step) -> None:
        args = step.args
        self.attempt(
            step,
            lambda: self.driver.mark_task(self.dag_of(args), self.run_of(args), args["task"], args["state"], args),
        )

    def do_mark_run(self, step: Step) -> None:
        args = step.args
        self.attempt(step, lambda: self.driver.mark_run(self.dag_of(args), self.run_of(args), args["state"]))

    def do_backfill(self, step: Step) -> None:
        answer = self.attempt(step, lambda: self.driver.backfill(self.dag_of(step.args), step.args))
        if step.args.get("dry_run"):
            self.note(step, logical_dates=answer)
        elif answer is not None:
            self.backfills.append(answer)

    def change_backfill(self, step: Step) -> None:
        change = step.name.removesuffix("_backfill")
        self.attempt(step, lambda: self.driver.change_backfill(self.dag_of(step.args), self.backfills[-1], change))

    do_pause_backfill = do_unpause_backfill = do_cancel_backfill = change_backfill

    def do_answer(self, step: Step) -> None:
        args = step.args
        self.attempt(
            step,
            lambda: self.driver.answer(
                self.dag_of(args),
                self.run_of(args),
                args["task"],
                args.get("map_index", -1),
                args["options"],
                args.get("params", {}),
            ),
        )

    def do_pool(self, step: Step) -> None:
        args = step.args
        self.attempt(
            step, lambda: self.driver.set_pool(args["name"], args["slots"], args.get("include_deferred", False))
        )

    def do_variable(self, step: Step) -> None:
        self.driver.set_variable(step.args["key"], step.args["value"])

    def do_connection(self, step: Step) -> None:
        self.driver.set_connection(step.args["conn_id"], {k: v for k, v in step.args.items() if k != "conn_id"})

    def do_asset_event(self, step: Step) -> None:
        self.attempt(step, lambda: self.driver.asset_event(step.args["uri"], step.args.get("extra", {})))

    def do_materialize(self, step: Step) -> None:
        self.attempt(step, lambda: self.driver.materialize(step.args["uri"]))

    def do_unpause(self, step: Step) -> None:
        self.driver.set_paused(self.dag_of(step.args), False)

    def do_pause(self, step: Step) -> None:
        self.driver.set_paused(self.dag_of(step.args), True)

    def do_edit(self, step: Step) -> None:
        """Changes the DAG file: every `replace` becomes `by`."""
        path = self.copy()
        before = path.read_text()
        if step.args["replace"] not in before:
            raise CaseError(f"{self.case.path}: no {step.args['replace']!r} to replace")
        path.write_text(before.replace(step.args["replace"], step.args["by"]))
        self.driver.wait_until_loaded(self.case, newer=True)

    def do_note_import_errors(self, step: Step) -> None:
        mine = f"{self.case.area}/{self.case.name}.py"
        self.until(f"an import error of {mine}", lambda: mine in self.driver.import_errors())
        self.note(step, files=[mine])

    # --- the whole --------------------------------------------------------------------------------------------------

    def copy(self) -> Any:
        return self.driver.dags / self.case.path.relative_to(DAGS)

    def install(self) -> None:
        """Puts the DAG file, as it is in the repository, into the system's DAG folder."""
        path = self.copy()
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in self.case.options.get("files", []):
            shutil.copyfile(self.case.path.parent / other, path.parent / other)
        if not path.exists() or path.read_text() != self.case.path.read_text():
            path.write_text(self.case.path.read_text())

    def journal(self) -> list[Any]:
        path = self.driver.journal / f"{self.case.name}.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def run(self) -> dict[str, Any]:
        """Drives the case and answers its outcome, normalized."""
        self.driver.prepare(self.case)
        for left in [
            *self.driver.journal.glob(f"{self.case.name}.jsonl"),
            *self.driver.journal.glob(f"{self.case.name}.*.count"),
        ]:
            left.unlink()
        if self.case.dag_ids:
            self.driver.wait_until_loaded(self.case, newer=False)
        unpaused: list[str] = []
        before = ("pool", "variable", "connection")
        steps = list(self.case.steps)
        while steps and steps[0].name in before:
            self.perform(steps.pop(0))
        try:
            for dag_id in self.case.options.get("unpause", self.case.dag_ids):
                self.driver.set_paused(dag_id, False)
                unpaused.append(dag_id)
            for step in steps:
                self.perform(step)
            outcome = self.outcome()
        finally:
            for dag_id in unpaused:
                self.driver.set_paused(dag_id, True)
        return outcome

    def perform(self, step: Step) -> None:
        method = getattr(self, f"do_{step.name}", None)
        if method is None:
            raise CaseError(f"{self.case.path}: there is no step {step.name!r}; README.md lists them")
        method(step)

    def outcome(self) -> dict[str, Any]:
        paths = {str(self.driver.dags): "<dags>", str(self.driver.journal): "<journal>"}
        outcome = self.driver.snapshot(self.case)
        outcome["steps"] = self.notes
        if "keep" in self.case.options:
            for dag in outcome["dags"].values():
                # An endless schedule: how many more runs there were hangs on chance.
                dag["runs"] = sorted(dag["runs"], key=lambda run: run["run_after"])[: self.case.options["keep"]]
        journal = self.journal()
        if not self.case.options.get("ordered"):
            journal.sort(key=lambda line: json.dumps(normalize(line, paths), sort_keys=True))
        outcome["journal"] = journal
        return drop(tidy(normalize(outcome, paths)), self.case.options.get("drop", []))


def tidy(outcome: dict[str, Any]) -> dict[str, Any]:
    """In an order that does not hang on chance, and without what is empty."""
    for dag in outcome["dags"].values():
        dag["runs"].sort(key=lambda run: (run["logical_date"] or "", run["run_id"], json.dumps(run, sort_keys=True)))
        for run in dag["runs"]:
            for xcoms in run["xcoms"].values():
                # What a branch followed or skipped is a set.
                for chosen in (xcoms.get("skipmixin_key") or {}).values():
                    chosen.sort()
    outcome["asset_events"].sort(key=lambda event: json.dumps(event, sort_keys=True))
    return {key: value for key, value in outcome.items() if value or key == "dags"}


def drop(outcome: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """Replaces what a case declares to hang on chance: `xcoms.task.key`, `rendered.task.field`, `tasks.task.field`."""
    for dotted in fields:
        kind, task, name = dotted.split(".", 2)
        for dag in outcome["dags"].values():
            for run in dag["runs"]:
                for key, found in run.get(kind, {}).items():
                    if key.split("[")[0] == task and name in found:
                        found[name] = "<any>"
    return outcome
