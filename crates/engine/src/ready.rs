//! From "upstream is done" to `scheduled`: which waiting instances an ended instance concerns, and what their
//! dependencies say (semantics E3).

use smallvec::SmallVec;
use tradewind_types::{RunState, TaskState, Timestamp};

use crate::{
    Effects, Engine,
    engine::just_after,
    expansion::UNEXPANDED,
    memory::{At, Due, Run},
    rules::{self, Verdict},
};

impl Engine {
    /// Looks at everything that waited for an instance that came to an end.
    pub(crate) fn wake_after(&mut self, at: At, effects: &mut Effects) {
        let run = &self.runs[at.run];
        let graph = std::sync::Arc::clone(&run.graph);
        let task = run.ti(at.ti).task;
        let state = run.ti(at.ti).row.state;
        if state == TaskState::Failed && graph.version.spec.fail_fast {
            self.stop_rest(at, effects);
        }
        if state == TaskState::Success || state == TaskState::Skipped {
            self.lengths_changed(at.run, task, effects);
        }
        for list in [graph.down.of(task), graph.setup_watchers.of(task), graph.scope_watchers.of(task)] {
            for &below in list {
                self.consider_task(at.run, below, effects);
            }
        }
        let past = self.dags[self.runs[at.run].dag as usize].past;
        if past && matches!(state, TaskState::Success | TaskState::Skipped) {
            self.wake_next_runs(at.run, task, effects);
        }
    }

    /// Looks at the instances of a task.
    pub(crate) fn consider_task(&mut self, run: u32, task: u32, effects: &mut Effects) {
        for ti in self.runs[run].instances(task) {
            self.consider(At { run, ti }, effects);
        }
    }

    /// Looks at every instance of a run that is not over.
    pub(crate) fn consider_run(&mut self, run: u32, effects: &mut Effects) {
        for ti in 0..self.runs[run].tis.len() {
            self.consider(At { run, ti: crate::graph::index(ti) }, effects);
        }
    }

    /// Schedules a waiting instance if all its dependencies are met, or settles it if its trigger rule says so.
    pub(crate) fn consider(&mut self, at: At, effects: &mut Effects) {
        let run = &self.runs[at.run];
        let row = &run.ti(at.ti).row;
        let waiting = matches!(row.state, TaskState::NoStatus | TaskState::UpForRetry | TaskState::UpForReschedule);
        if !waiting || run.row.state != RunState::Running || run.ti(at.ti).absent {
            return;
        }
        match verdict(run, at) {
            Verdict::Become(TaskState::Skipped) if self.waits_for_past_before_skipping(at) => return,
            Verdict::Become(state) => return self.settle_unrun(at, state),
            Verdict::Wait => return self.remove_beyond_end(at, effects),
            Verdict::Ready => {}
        }
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let node = run.graph.node(ti.task);
        if run.scope_is_open(ti) {
            return;
        }
        if ti.row.next_at.is_some_and(|next_at| !is_due(&ti.row, next_at, self.now)) {
            return;
        }
        if self.dags[run.dag as usize].row.is_paused {
            return;
        }
        if node.depends_on_past && self.blocked_by_past(at).is_some() {
            return;
        }
        if node.expansion != UNEXPANDED {
            if ti.row.map_index < 0 {
                return self.expand(at, effects);
            }
            if run.revise[ti.task as usize] {
                self.revise(at, effects);
                let state = self.runs[at.run].ti(at.ti).row.state;
                if state.is_finished() || state == TaskState::Scheduled {
                    return;
                }
            }
        }
        self.schedule(at, effects);
    }

    /// `wait_for_past_depends_before_skipping`.
    fn waits_for_past_before_skipping(&self, at: At) -> bool {
        let run = &self.runs[at.run];
        let task = run.ti(at.ti).task;
        run.graph.spec(task).wait_for_past_depends_before_skipping
            && run.graph.node(task).depends_on_past
            && self.blocked_by_past(at).is_some()
    }

    /// An instance is ready: it waits for admission, or succeeds at once where there is nothing to run.
    fn schedule(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let run = &mut self.runs[at.run];
        let ti = run.ti(at.ti);
        let empty = run.graph.node(ti.task).empty;
        let keeps_first_poke = self.options.sensor_timeout_spans_retries;
        let row = &mut run.ti_mut(at.ti).row;
        if row.state != TaskState::UpForReschedule {
            row.try_number = row.try_number.saturating_add(1);
            row.start_date = None;
            if !keeps_first_poke {
                row.first_poke_at = None;
            }
            row.reschedules = 0;
        }
        row.deferral = None;
        row.scheduled_at = Some(now);
        row.next_at = None;
        // Its last attempt is among the past attempts.
        row.worker = None;
        row.token = None;
        if empty {
            row.start_date = Some(now);
            row.end_date = Some(now);
            self.set_state(at, TaskState::Success);
        } else if let Some(start) = self.start_trigger(at) {
            self.runs[at.run].ti_mut(at.ti).row.start_date = Some(now);
            let timeout = start
                .timeout_micros
                .map(|micros| std::time::Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
            self.defer(at, start.trigger, timeout, start.next_method, start.next_kwargs, effects);
        } else {
            self.set_state(at, TaskState::Scheduled);
        }
    }

    /// The trigger that a task starts in.
    fn start_trigger(&self, at: At) -> Option<tradewind_types::StartTrigger> {
        let run = &self.runs[at.run];
        run.graph.spec(run.ti(at.ti).task).start_trigger.clone()
    }

    /// Ends an instance that no worker runs: skipped, upstream_failed, removed.
    pub(crate) fn settle_unrun(&mut self, at: At, state: TaskState) {
        let now = self.now;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.start_date.get_or_insert(now);
        row.end_date = Some(now);
        row.next_at = None;
        // Its last attempt, if it had one, is among the past attempts already.
        row.worker = None;
        row.token = None;
        self.set_state(at, state);
    }

    /// `fail_fast`: a failed task ends the run. Running instances fail, the rest is skipped, teardowns are spared.
    fn stop_rest(&mut self, failed: At, effects: &mut Effects) {
        let run = failed.run;
        for ti in 0..self.runs[run].tis.len() {
            let at = At { run, ti: crate::graph::index(ti) };
            let entry = self.runs[run].ti(at.ti);
            let state = entry.row.state;
            if at == failed || entry.absent || state.is_finished() || self.runs[run].graph.node(entry.task).is_teardown
            {
                continue;
            }
            let why = format!("stopped: {} failed and the DAG is fail_fast", self.runs[run].ti(failed.ti).row.task_id);
            let to = if matches!(state, TaskState::Running | TaskState::Restarting) {
                TaskState::Failed
            } else {
                TaskState::Skipped
            };
            self.stop(at, to, Some(why), effects);
        }
    }

    /// After `task` ended well in a run: instances of following runs that depend on the past.
    fn wake_next_runs(&mut self, run_at: u32, task: u32, effects: &mut Effects) {
        let run = &self.runs[run_at];
        let Some(date) = run.row.logical_date else {
            return;
        };
        let mut names: SmallVec<[tradewind_types::TaskId; 4]> = SmallVec::new();
        names.push(run.graph.spec(task).task_id.clone());
        // Those of them that wait for downstream; the next run's version says which.
        for &above in run.graph.up.of(task) {
            names.push(run.graph.spec(above).task_id.clone());
        }
        for next in self.runs_after(run.dag, date) {
            let graph = std::sync::Arc::clone(&self.runs[next].graph);
            for name in &names {
                if let Some(task) = graph.task(name.as_str())
                    && graph.node(task).depends_on_past
                {
                    self.consider_task(next, task, effects);
                }
            }
        }
    }

    /// The runs whose previous run the one at `date` may be: up to the next one that hides it.
    fn runs_after(&self, dag: u32, date: Timestamp) -> SmallVec<[u32; 4]> {
        let dag = &self.dags[dag as usize];
        let mut found = SmallVec::new();
        let from = (std::ops::Bound::Excluded(date), std::ops::Bound::Unbounded);
        for (_, run) in dag.dates.range(from) {
            let Some(position) = *run else { continue };
            let run = &self.runs[position];
            found.push(position);
            let catchup = run.graph.version.spec.catchup || dag.graph.version.spec.catchup;
            if !catchup || run.row.run_type != tradewind_types::RunType::Manual {
                break;
            }
        }
        found
    }

    /// The run before this one, as `depends_on_past` means it: with catchup the latest that is not manual.
    pub(crate) fn previous_run(&self, run: u32) -> Option<u32> {
        let run = &self.runs[run];
        let date = run.row.logical_date?;
        let catchup = run.graph.version.spec.catchup;
        self.dags[run.dag as usize]
            .dates
            .range(..date)
            .rev()
            .filter_map(|(_, run)| *run)
            .find(|&position| !catchup || self.runs[position].row.run_type != tradewind_types::RunType::Manual)
    }

    /// What in the previous run holds an instance that depends on the past: run, task and state there.
    pub(crate) fn blocked_by_past(&self, at: At) -> Option<(u32, u32, TaskState)> {
        let run = &self.runs[at.run];
        let task = run.ti(at.ti).task;
        let spec = run.graph.spec(task);
        if self.is_first_of_backfill(at.run) {
            return None;
        }
        let before = self.previous_run(at.run)?;
        let previous = &self.runs[before];
        if run.graph.version.spec.catchup
            && let (Some(date), Some(start)) = (previous.row.logical_date, spec.start_date)
            && date < start
        {
            return None;
        }
        let Some(same) = previous.graph.task(spec.task_id.as_str()) else {
            // The previous run's version did not have the task.
            return if spec.ignore_first_depends_on_past { None } else { Some((before, task, TaskState::Removed)) };
        };
        let well = |state| matches!(state, TaskState::Success | TaskState::Skipped);
        let holds = |task: u32| {
            previous.instances(task).into_iter().find_map(|ti| {
                let ti = previous.ti(ti);
                let state = ti.row.state;
                // A task that the previous run's date is outside of has no instance there.
                (!ti.absent && !well(state)).then_some((before, task, state))
            })
        };
        holds(same).or_else(|| {
            run.graph
                .node(task)
                .wait_for_downstream
                .then(|| previous.graph.down.of(same).iter().find_map(|&below| holds(below)))?
        })
    }

    /// Sets the timer for an instance that is due again at a known time.
    pub(crate) fn set_again_timer(&mut self, at: At) {
        let run = &self.runs[at.run];
        let row = &run.ti(at.ti).row;
        let Some(next_at) = row.next_at else { return };
        let run_no = run.row.run_no.0;
        let when = if row.state == TaskState::UpForRetry { just_after(next_at) } else { next_at };
        self.set_timer(when, Due::Again { run_no, ti: at.ti });
    }
}

/// Whether a waiting instance's time has come; Airflow compares the retry time strictly.
pub(crate) fn is_due(row: &tradewind_types::TaskInstance, next_at: Timestamp, now: Timestamp) -> bool {
    if row.state == TaskState::UpForRetry { next_at < now } else { next_at <= now }
}

/// What previous skip decisions, setups and the trigger rule say of an instance.
pub(crate) fn verdict(run: &Run, at: At) -> Verdict {
    let ti = run.ti(at.ti);
    let graph = &run.graph;
    if run.skips && skipped_by_upstream(run, at) {
        return Verdict::Become(TaskState::Skipped);
    }
    let node = graph.node(ti.task);
    let mut setups_done = true;
    if !node.is_teardown {
        let mut skipped = false;
        for &setup in graph.setups.of(ti.task) {
            for setup in run.relevant_instances(ti, setup) {
                match run.ti(setup).row.state {
                    TaskState::Success => {}
                    TaskState::Failed | TaskState::UpstreamFailed => {
                        return Verdict::Become(TaskState::UpstreamFailed);
                    }
                    TaskState::Skipped => skipped = true,
                    _ => setups_done = false,
                }
            }
        }
        if skipped {
            return Verdict::Become(TaskState::Skipped);
        }
    }
    let verdict = rules::evaluate(node.rule, &run.upstream_counts(ti), ti.row.map_index, || run.setup_counts(ti));
    if verdict == Verdict::Ready && !setups_done {
        return Verdict::Wait;
    }
    verdict
}

/// Airflow's `NotPreviouslySkippedDep`: a direct upstream instance that succeeded decided to skip this one.
fn skipped_by_upstream(run: &Run, at: At) -> bool {
    let ti = run.ti(at.ti);
    run.graph.up.of(ti.task).iter().any(|&above| {
        run.instances(above).into_iter().any(|above| {
            let above = &run.ti(above).row;
            above.state == TaskState::Success
                && above
                    .skips
                    .iter()
                    .any(|(task_id, map_index)| *task_id == ti.row.task_id && *map_index == ti.row.map_index)
        })
    })
}
