//! Dynamic task mapping in a run: which upstream instances concern an instance, how many instances a mapped task gets, and
//! what happens when that number changes (Airflow `models/taskmap.py`, `DagRun._revise_map_indexes_if_mapped`,
//! `ti_deps/deps/mapped_task_upstream_dep.py`, `TaskInstance.get_relevant_upstream_map_indexes`).

use std::sync::Arc;

use tradewind_types::{TaskId, TaskState, TiId, TriggerRule};

use crate::{
    Effects, Engine,
    expansion::UNEXPANDED,
    graph::index,
    memory::{At, Run, Ti},
    rules::{SetupCounts, UpstreamCounts, Verdict},
};

/// Which instances of an upstream task concern an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relevant {
    /// All.
    All,
    /// Those that are not expanded, and the one with this index.
    One(i32),
}

impl Run {
    /// Whether a task is mapped and has its instances.
    pub(crate) fn is_expanded(&self, task: u32) -> bool {
        self.ti(task).row.map_index >= 0
    }

    /// How many instances a mapped task gets; `None` while a length is not known.
    pub(crate) fn length(&self, expansion: u32) -> Option<u64> {
        let expansion = &self.graph.expansions[expansion as usize];
        expansion.expand.total(&|task_id: &TaskId| self.xcom_length(self.graph.task(task_id.as_str())?))
    }

    /// The length of a task's return value, as mapping over it sees it: of a mapped task how many of its instances, once
    /// all are over, have left one.
    fn xcom_length(&self, task: u32) -> Option<u64> {
        if self.graph.spec(task).expand.is_none() {
            let row = &self.ti(task).row;
            return (row.map_index < 0).then_some(row.xcom_length).flatten().map(u64::from);
        }
        let tally = &self.tallies[task as usize];
        if tally.done() < tally.total {
            return None;
        }
        let left = |ti: &u32| {
            let row = &self.ti(*ti).row;
            row.map_index >= 0 && row.xcom_length.is_some()
        };
        Some(self.instances(task).iter().filter(|ti| left(ti)).count() as u64)
    }

    /// Which instances of the task `above` concern `ti`.
    pub(crate) fn relevant(&self, ti: &Ti, above: u32) -> Relevant {
        let node = self.graph.node(ti.task);
        if !node.in_mapped_group {
            return Relevant::All;
        }
        let map_index = ti.row.map_index;
        let same_group = {
            let above = self.graph.node(above);
            above.in_mapped_group && above.expansion == node.expansion
        };
        if !same_group {
            return Relevant::All;
        }
        if map_index < 0 {
            // A rule that one instance could satisfy must not settle the task before the group is expanded.
            let fast = matches!(
                node.rule,
                TriggerRule::OneSuccess
                    | TriggerRule::OneFailed
                    | TriggerRule::OneDone
                    | TriggerRule::NoneFailedMinOneSuccess
            );
            if fast && !self.graph.expansions[node.expansion as usize].deps.contains(&above) {
                return Relevant::All;
            }
        }
        match self.length(node.expansion) {
            None | Some(0) => Relevant::All,
            Some(_) => Relevant::One(map_index),
        }
    }

    /// The instances of `above` that concern `ti`.
    pub(crate) fn relevant_instances(&self, ti: &Ti, above: u32) -> smallvec::SmallVec<[u32; 4]> {
        let mut all = self.instances(above);
        if let Relevant::One(wanted) = self.relevant(ti, above) {
            all.retain(|other| {
                let map_index = self.ti(*other).row.map_index;
                map_index < 0 || map_index == wanted
            });
        }
        all
    }

    /// How the direct upstream of an instance stands.
    pub(crate) fn upstream_counts(&self, ti: &Ti) -> UpstreamCounts {
        if !self.graph.node(ti.task).dynamic {
            return ti.up;
        }
        let mut counts = UpstreamCounts::default();
        for &above in self.graph.up.of(ti.task) {
            match self.relevant(ti, above) {
                Relevant::All => counts.add(&self.tallies[above as usize]),
                Relevant::One(_) => {
                    for other in self.relevant_instances(ti, above) {
                        counts.total += 1;
                        if let Some(slot) = counts.slot(self.ti(other).row.state) {
                            *slot += 1;
                        }
                    }
                }
            }
        }
        counts
    }

    /// How the setups directly upstream of an instance stand.
    pub(crate) fn setup_counts(&self, ti: &Ti) -> SetupCounts {
        let mut counts = SetupCounts::default();
        for &above in self.graph.up.of(ti.task) {
            if !self.graph.spec(above).is_setup {
                continue;
            }
            for other in self.relevant_instances(ti, above) {
                counts.total += 1;
                match self.ti(other).row.state {
                    TaskState::Success => counts.success += 1,
                    TaskState::Skipped => counts.skipped += 1,
                    _ => {}
                }
            }
        }
        counts
    }

    /// Whether something between a teardown and its setups is not over.
    pub(crate) fn scope_is_open(&self, ti: &Ti) -> bool {
        let node = self.graph.node(ti.task);
        if !node.is_teardown {
            return false;
        }
        if !self.graph.mapped {
            return ti.scope_done < node.scope;
        }
        let open = |task: &u32| {
            self.relevant_instances(ti, *task).into_iter().any(|other| !self.ti(other).row.state.is_finished())
        };
        self.graph.scopes.of(ti.task).iter().any(open)
    }

    /// What the tasks that decide the length of a mapped task say before it is expanded.
    pub(crate) fn mapped_upstream(&self, task: u32) -> Verdict {
        let expansion = &self.graph.expansions[self.graph.node(task).expansion as usize];
        let mut settled = None;
        let mut waits = false;
        for &dep in &expansion.deps {
            for other in self.instances(dep) {
                let row = &self.ti(other).row;
                if row.map_index >= 0 {
                    continue;
                }
                match row.state {
                    TaskState::Failed | TaskState::UpstreamFailed => settled = Some(TaskState::UpstreamFailed),
                    TaskState::Skipped => {
                        settled.get_or_insert(TaskState::Skipped);
                    }
                    TaskState::Success => {}
                    _ => waits = true,
                }
            }
        }
        match settled {
            Some(state) => Verdict::Become(state),
            None if waits => Verdict::Wait,
            None => Verdict::Ready,
        }
    }
}

impl Engine {
    /// Everything lets a mapped task start: it gets its instances, and each is looked at.
    pub(crate) fn expand(&mut self, at: At, effects: &mut Effects) {
        let run = &self.runs[at.run];
        let task = run.ti(at.ti).task;
        match run.mapped_upstream(task) {
            Verdict::Become(state) => return self.settle_unrun(at, state),
            Verdict::Wait => return,
            Verdict::Ready => {}
        }
        let limit = self.options.max_map_length;
        let Some(total) = run.length(run.graph.node(task).expansion) else {
            let why = "it cannot be expanded: a task that it is mapped over left no value with a length".to_owned();
            self.settle_unrun(at, TaskState::UpstreamFailed);
            return self.note(at, why);
        };
        if total == 0 {
            self.settle_unrun(at, TaskState::Skipped);
            return self.note(at, "it is mapped over nothing".to_owned());
        }
        if total > u64::from(limit) {
            self.settle_unrun(at, TaskState::Failed);
            let why = format!("it would have {total} instances; max_map_length is {limit} (scheduler.max_map_length)");
            return self.note(at, why);
        }
        self.runs[at.run].ti_mut(at.ti).row.map_index = 0;
        self.touch_ti(at);
        self.add_instances(at, u32::try_from(total).unwrap_or(u32::MAX));
        self.runs[at.run].revise[task as usize] = false;
        for ti in self.runs[at.run].instances(task) {
            self.consider(At { run: at.run, ti }, effects);
        }
        // In a mapped task group each index goes its own way as soon as the task above has its instances.
        let graph = Arc::clone(&self.runs[at.run].graph);
        for &below in graph.down.of(task) {
            self.consider_task(at.run, below, effects);
        }
    }

    fn note(&mut self, at: At, why: String) {
        self.runs[at.run].ti_mut(at.ti).row.note = Some(why);
        self.touch_ti(at);
    }

    /// Adds what is missing up to `total` instances of an expanded task.
    fn add_instances(&mut self, first: At, total: u32) {
        let run = &mut self.runs[first.run];
        let task = run.ti(first.ti).task;
        let mut template = run.ti(first.ti).row.clone();
        template.state = TaskState::NoStatus;
        template.try_number = 0;
        template.max_tries = run.graph.spec(task).retry.retries;
        template.attempt = 0;
        template.worker_losses = 0;
        for instant in [
            &mut template.scheduled_at,
            &mut template.queued_at,
            &mut template.start_date,
            &mut template.end_date,
            &mut template.next_at,
            &mut template.first_poke_at,
        ] {
            *instant = None;
        }
        template.worker = None;
        template.token = None;
        template.note = None;
        template.skips = Vec::new();
        template.deferral = None;
        template.reschedules = 0;
        template.rendered_map_index = None;
        template.xcom_length = None;
        if run.more.is_empty() {
            run.more = vec![Vec::new(); run.graph.nodes.len()];
        }
        let mut next = 1 + index(run.more[task as usize].len());
        while next < total {
            let mut row = template.clone();
            row.map_index = i32::try_from(next).unwrap_or(i32::MAX);
            row.id = TiId::derive(row.run_no, &row.task_id, row.map_index);
            let run = &mut self.runs[first.run];
            let ti = index(run.tis.len());
            let at = At { run: first.run, ti };
            self.tis.insert(row.id, at);
            self.by_state[TaskState::NoStatus as usize] += 1;
            run.tis.push(Ti::new(row, task, self.now, false));
            run.more[task as usize].push(ti);
            run.unfinished += 1;
            run.tallies[task as usize].total += 1;
            self.touch_ti(at);
            next += 1;
        }
    }

    /// An upstream task ran again and a mapped task may have another length now: missing instances are added, those
    /// beyond the end are removed.
    pub(crate) fn revise(&mut self, at: At, effects: &mut Effects) {
        let run = &mut self.runs[at.run];
        let task = run.ti(at.ti).task;
        let Some(total) = run.length(run.graph.node(task).expansion) else { return };
        run.revise[task as usize] = false;
        let total = u32::try_from(total.min(u64::from(self.options.max_map_length))).unwrap_or(u32::MAX);
        let before = index(run.instances(task).len());
        if total > before {
            self.add_instances(At { run: at.run, ti: task }, total);
            for ti in self.runs[at.run].instances(task).into_iter().skip(before as usize) {
                self.consider(At { run: at.run, ti }, effects);
            }
            return;
        }
        for ti in self.runs[at.run].instances(task).into_iter().skip(total as usize) {
            let gone = At { run: at.run, ti };
            let state = self.runs[gone.run].ti(gone.ti).row.state;
            let why = format!("the task has {total} instances now");
            if state != TaskState::Removed {
                self.stop(gone, TaskState::Removed, Some(why), effects);
            }
        }
    }

    /// A mapped instance waits, and what it is mapped over has become shorter: it may wait for instances that are removed
    /// already, and would do so for ever. (Airflow's do: it looks at the length only where an instance is ready.)
    pub(crate) fn remove_beyond_end(&mut self, at: At, effects: &mut Effects) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let expansion = run.graph.node(ti.task).expansion;
        let Ok(map_index) = u64::try_from(ti.row.map_index) else { return };
        if expansion == UNEXPANDED {
            return;
        }
        let Some(total) = run.length(expansion).filter(|total| map_index >= *total) else { return };
        // What runs again may still have the length that it had before.
        let is_over = |dep: &u32| run.instances(*dep).into_iter().all(|ti| run.ti(ti).row.state.is_finished());
        if run.graph.expansions[expansion as usize].deps.iter().all(is_over) {
            self.stop(at, TaskState::Removed, Some(format!("the task has {total} instances now")), effects);
        }
    }

    /// The values of these tasks changed: whatever is mapped over them looks at its length again.
    pub(crate) fn lengths_changed(&mut self, run: u32, task: u32, effects: &mut Effects) {
        let graph = Arc::clone(&self.runs[run].graph);
        if !graph.mapped {
            return;
        }
        for &consumer in graph.consumers.of(task) {
            if self.runs[run].is_expanded(consumer) {
                self.runs[run].revise[consumer as usize] = true;
            }
            self.consider_task(run, consumer, effects);
        }
    }

    /// The upstream tasks of which an instance in a mapped task group reads one map index, and how many instances there
    /// are.
    pub(crate) fn mapping_of(&self, at: At) -> (Vec<(TaskId, i32)>, Option<u32>) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let node = run.graph.node(ti.task);
        if node.expansion == UNEXPANDED || ti.row.map_index < 0 {
            return (Vec::new(), None);
        }
        let mut indexes = Vec::new();
        if node.in_mapped_group {
            for (other, task) in run.graph.nodes.iter().enumerate() {
                if task.in_mapped_group && task.expansion == node.expansion && index(other) != ti.task {
                    indexes.push((run.graph.spec(index(other)).task_id.clone(), ti.row.map_index));
                }
            }
        }
        (indexes, run.length(node.expansion).map(|total| u32::try_from(total).unwrap_or(u32::MAX)))
    }
}
