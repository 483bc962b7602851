//! Why a task instance is not running: every reason that holds it now.

use tradewind_types::{
    ApiError, BlockReason, DagId, RunId, RunState, TaskId, TaskInstance, TaskState, Timestamp, Trigger, TriggerRule,
};

use crate::{
    Engine,
    expansion::UNEXPANDED,
    memory::{At, LimitOn, Run},
    ready::{is_due, verdict},
    rules::Verdict,
};

/// How many holders of a full pool are named.
const HOLDERS: usize = 5;

impl Engine {
    /// Every reason that holds a task instance now, or what it is doing. For a queued one the caller fills in who serves
    /// its queue (`workers`, `free_slots`, `depth`).
    ///
    /// # Errors
    /// DAG, run or task instance are unknown or not in memory.
    pub fn explain(
        &self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: i32,
        now: Timestamp,
    ) -> Result<Vec<BlockReason>, ApiError> {
        let at = self.instance_position(dag_id, run_id, task_id, map_index)?;
        let run = &self.runs[at.run];
        let row = &run.ti(at.ti).row;
        let mut reasons = Vec::new();
        if row.state.is_finished() {
            reasons.push(BlockReason::Finished { state: row.state, note: row.note.clone() });
            return Ok(reasons);
        }
        match row.state {
            TaskState::Queued => {
                reasons.push(BlockReason::InQueue {
                    queue: row.queue.clone(),
                    since: row.queued_at.unwrap_or(now),
                    depth: None,
                    workers: 0,
                    free_slots: 0,
                });
                return Ok(reasons);
            }
            TaskState::Running | TaskState::Restarting => {
                reasons.push(BlockReason::Running {
                    worker: row.worker.clone().unwrap_or_else(|| tradewind_types::WorkerName::from("?")),
                    since: row.start_date.unwrap_or(now),
                });
                return Ok(reasons);
            }
            TaskState::Deferred | TaskState::AwaitingInput => {
                self.explain_wait(at, &mut reasons);
                return Ok(reasons);
            }
            _ => {}
        }
        self.explain_run(run, now, &mut reasons);
        if row.state == TaskState::Scheduled {
            self.explain_admission(at, true, &mut reasons);
        } else {
            self.explain_waiting(at, row, now, &mut reasons);
            self.explain_admission(at, false, &mut reasons);
        }
        Ok(reasons)
    }

    fn explain_run(&self, run: &Run, now: Timestamp, reasons: &mut Vec<BlockReason>) {
        let dag = &self.dags[run.dag as usize];
        if run.row.state.is_finished() {
            reasons.push(BlockReason::RunFinished { state: run.row.state });
            return;
        }
        if dag.row.is_paused {
            reasons.push(BlockReason::DagPaused);
        }
        if run.row.state == RunState::Queued {
            if run.starts_at() > now {
                reasons.push(BlockReason::RunNotDue { run_after: run.starts_at() });
            }
            if let Some(state) = run.row.backfill.and_then(|of| self.backfills.get(&of.no)) {
                let (no, running, limit) = (state.row.no, state.running, state.row.max_active_runs);
                if state.row.is_paused {
                    reasons.push(BlockReason::BackfillPaused { no });
                }
                if running >= limit {
                    reasons.push(BlockReason::BackfillRunning { no, running, limit });
                }
            } else if dag.running >= dag.max_active_runs() {
                reasons.push(BlockReason::RunQueued { running: dag.running, limit: dag.max_active_runs() });
            }
        }
    }

    /// What a deferred instance waits for.
    fn explain_wait(&self, at: At, reasons: &mut Vec<BlockReason>) {
        let ti = self.runs[at.run].ti(at.ti);
        let Some(deferral) = ti.row.deferral.as_deref() else { return };
        let timeout_at = deferral.timeout_at;
        let host = ti.row.worker.clone();
        reasons.push(match &deferral.trigger {
            Trigger::Input => {
                let subject = self.questions.get(&ti.row.id).map(|question| question.subject.clone());
                BlockReason::HumanInput { subject: subject.unwrap_or_default(), timeout_at }
            }
            Trigger::At { at, .. } => BlockReason::Trigger { what: at.to_string(), host, timeout_at },
            Trigger::Hosted { class, .. } if ti.unhosted => BlockReason::TriggerNotHosted {
                what: class.clone(),
                queue: crate::deferral::trigger_queue(&ti.row.queue),
            },
            Trigger::Hosted { class, .. } => BlockReason::Trigger { what: class.clone(), host, timeout_at },
        });
    }

    /// A mapped task that is ready but for its length.
    fn explain_expansion(&self, at: At, reasons: &mut Vec<BlockReason>) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let node = run.graph.node(ti.task);
        if node.expansion == UNEXPANDED || ti.row.map_index >= 0 || run.length(node.expansion).is_some() {
            return;
        }
        let deps = &run.graph.expansions[node.expansion as usize].deps;
        let open = deps.iter().flat_map(|&dep| run.instances(dep)).map(|ti| &run.ti(ti).row);
        let waiting_for: Vec<_> = open
            .filter(|row| !row.state.is_finished())
            .map(|row| (row.task_id.clone(), row.map_index, row.state))
            .collect();
        if !waiting_for.is_empty() {
            reasons.push(BlockReason::NotExpanded { waiting_for });
        }
    }

    /// Times, trigger rule and past of an instance that is not ready.
    fn explain_waiting(&self, at: At, row: &TaskInstance, now: Timestamp, reasons: &mut Vec<BlockReason>) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let node = run.graph.node(ti.task);
        if let Some(next_at) = row.next_at
            && !is_due(row, next_at, now)
        {
            reasons.push(match row.state {
                TaskState::UpForRetry => BlockReason::RetryAt {
                    at: next_at,
                    try_number: row.try_number,
                    max_tries: row.max_tries,
                    error: row.note.clone(),
                },
                _ => BlockReason::RescheduledUntil { at: next_at },
            });
        }
        self.explain_expansion(at, reasons);
        let scope_open = run.scope_is_open(ti);
        if verdict(run, at) != Verdict::Ready || scope_open {
            let mut waiting_for: Vec<(TaskId, i32, TaskState)> = Vec::new();
            let mut add = |task: u32, always: bool| {
                for other in run.relevant_instances(ti, task) {
                    let row = &run.ti(other).row;
                    if always || holds_up(node.rule, row.state) {
                        waiting_for.push((row.task_id.clone(), row.map_index, row.state));
                    }
                }
            };
            for &above in run.graph.up.of(ti.task) {
                add(above, false);
            }
            for &setup in run.graph.setups.of(ti.task) {
                if run.instances(setup).into_iter().any(|ti| run.ti(ti).row.state != TaskState::Success) {
                    add(setup, true);
                }
            }
            if scope_open {
                for (task, _) in run.graph.nodes.iter().enumerate() {
                    let task = crate::graph::index(task);
                    let in_scope = run.graph.scope_watchers.of(task).contains(&ti.task);
                    let direct = run.graph.up.of(ti.task).contains(&task);
                    let open = run.instances(task).into_iter().any(|ti| !run.ti(ti).row.state.is_finished());
                    if in_scope && open && !direct {
                        add(task, true);
                    }
                }
            }
            if waiting_for.is_empty() {
                // Nothing upstream is open and the rule is not met: all of them are what it does not take.
                for &above in run.graph.up.of(ti.task) {
                    for ti in run.instances(above) {
                        let row = &run.ti(ti).row;
                        waiting_for.push((row.task_id.clone(), row.map_index, row.state));
                    }
                }
            }
            reasons.push(BlockReason::Upstream { rule: node.rule, waiting_for });
        }
        if node.depends_on_past
            && let Some((before, task, state)) = self.blocked_by_past(at)
        {
            let previous = &self.runs[before];
            let task_id = if state == TaskState::Removed {
                run.graph.spec(ti.task).task_id.clone()
            } else {
                previous.graph.spec(task).task_id.clone()
            };
            reasons.push(BlockReason::PreviousRun { run_id: previous.row.run_id.clone(), task_id, state });
        }
    }

    /// Pool and limits. For an instance that is not ready yet only what it could never pass.
    fn explain_admission(&self, at: At, ready: bool, reasons: &mut Vec<BlockReason>) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let node = run.graph.node(ti.task);
        if node.empty {
            return;
        }
        let group = &run.groups[node.group as usize];
        let pool = &self.pools[group.pool as usize];
        let need = group.need;
        let slots = pool.config.as_ref().map(|pool| pool.slots);
        match slots {
            None => reasons.push(BlockReason::PoolMissing { pool: pool.name.clone() }),
            Some(slots) if slots >= 0 && slots < i64::from(need) => {
                reasons.push(BlockReason::PoolTooSmall { pool: pool.name.clone(), needs: need, slots });
            }
            Some(slots) if ready && pool.open() < i64::from(need) && self.rate_opens(group.pool).is_none() => {
                reasons.push(BlockReason::PoolFull {
                    pool: pool.name.clone(),
                    needs: need,
                    open: pool.open(),
                    slots,
                    holders: self.holders(group.pool),
                });
            }
            Some(_) => {}
        }
        if !ready {
            return;
        }
        let spec = run.graph.spec(ti.task);
        let limit = run.graph.version.spec.max_active_tasks;
        if run.active >= limit {
            reasons.push(BlockReason::MaxActiveTasks { active: run.active, limit });
        }
        for &(limiter, limit) in &group.limits {
            let limiter = &self.limiters[limiter as usize];
            let active = limiter.active;
            if active < limit {
                continue;
            }
            reasons.push(match &limiter.on {
                LimitOn::Task(..) => BlockReason::MaxActiveTisPerDag { active, limit },
                LimitOn::Dag(_) => BlockReason::DagTaskLimit { active, limit },
                LimitOn::Key(key) => BlockReason::Concurrency { key: key.clone(), active, limit },
            });
        }
        if let Some(until) = self.rate_opens(group.pool) {
            reasons.push(BlockReason::PoolRate { pool: pool.name.clone(), until });
        }
        if let Some(limit) = spec.max_active_tis_per_dagrun
            && let Some(&active) = run.active_of.get(ti.task as usize)
            && active >= limit
        {
            reasons.push(BlockReason::MaxActiveTisPerDagrun { active, limit });
        }
        if self.executing >= self.options.parallelism {
            reasons.push(BlockReason::Parallelism { active: self.executing, limit: self.options.parallelism });
        }
        let ahead = self.ahead_of(at, group.pool);
        if ahead > 0 {
            reasons.push(BlockReason::Priority { ahead });
        }
    }

    /// How many ready instances of the pool come first.
    fn ahead_of(&self, at: At, pool: u32) -> u32 {
        let rank = self.runs[at.run].rank(at);
        let ahead = self
            .runs
            .iter()
            .flat_map(|(_, run)| &run.groups)
            .filter(|group| group.pool == pool)
            .map(|group| group.ready.range(..rank).count())
            .sum();
        crate::graph::index(ahead)
    }

    /// Some instances that hold slots of a pool.
    fn holders(&self, pool: u32) -> Vec<String> {
        let mut found: Vec<String> = self
            .runs
            .iter()
            .filter(|(_, run)| run.active > 0)
            .flat_map(|(_, run)| run.tis.iter().map(move |ti| (run, ti)))
            .filter(|(run, ti)| {
                let group = run.graph.node(ti.task).group;
                ti.row.state.is_executing() && run.groups[group as usize].pool == pool
            })
            .take(HOLDERS)
            .map(|(_, ti)| format!("{}/{}/{}", ti.row.dag_id, ti.row.run_id, ti.row.task_id))
            .collect();
        found.sort();
        found
    }
}

/// Whether an upstream instance in this state is what a rule still waits for or stumbles over.
const fn holds_up(rule: TriggerRule, state: TaskState) -> bool {
    if !state.is_finished() {
        return true;
    }
    match rule {
        TriggerRule::AllSuccess => !matches!(state, TaskState::Success | TaskState::Removed),
        TriggerRule::AllFailed => matches!(state, TaskState::Success | TaskState::Skipped),
        TriggerRule::AllSkipped => !matches!(state, TaskState::Skipped),
        TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess => {
            matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
        }
        TriggerRule::NoneSkipped => matches!(state, TaskState::Skipped),
        _ => false,
    }
}
