//! The invariants, checked against what was committed and what workers really do.

mod current;
mod further;
mod limits;

use std::collections::{BTreeMap, BTreeSet};

use tradewind_engine::{ClaimAnswer, Engine, Reply, is_legal};
use tradewind_types::{
    AttemptKey, CallbackState, Grant, LeaseToken, PoolName, RunNo, RunState, TaskInstance, TaskSpec, TaskState, TiId,
    TriggerRule, WriteSet,
};

pub(crate) use self::{current::Current, further::Books};
use crate::{
    leader::{Letter, Request, options},
    worker::Kind,
    world::World,
};

/// The rows that a commit replaces.
pub(crate) struct Before {
    tis: Vec<TaskInstance>,
    pools: BTreeMap<PoolName, u64>,
    slots: BTreeMap<PoolName, i64>,
    active: BTreeMap<RunNo, u32>,
    old: further::Old,
}

impl World {
    pub(crate) fn before_commit(&self, rows: &WriteSet) -> Before {
        Before {
            tis: rows.task_instances.keys().filter_map(|id| self.store.tis.get(id).cloned()).collect(),
            pools: self.pool_use(),
            slots: self.store.pools.iter().map(|(name, pool)| (name.clone(), pool.slots)).collect(),
            active: self.active_by_run(),
            old: self.old_rows(rows),
        }
    }

    fn spec_of(&self, ti: &TaskInstance) -> Result<&TaskSpec, String> {
        let run = self.store.runs.get(&ti.run_no).ok_or_else(|| format!("I8: {} has no run", ti.id))?;
        self.store.versions[&(run.dag_id.clone(), run.version.clone())]
            .spec
            .task(ti.task_id.as_str())
            .ok_or_else(|| format!("I8: {} has no task", ti.id))
    }

    /// I5, I7 and I8 on what was just committed.
    pub(crate) fn after_commit(&mut self, at: usize, before: &Before, rows: &WriteSet) -> Result<(), String> {
        for old in &before.tis {
            let new = &self.store.tis[&old.id];
            let name = format!("{}/{}/{}", new.dag_id, new.run_id, new.task_id);
            if new.attempt < old.attempt || new.try_number < old.try_number {
                return Err(format!("I7: {name}: attempt or try went back"));
            }
            if !reachable(old.state, new.state) {
                return Err(format!("I7: {name}: {} -> {}", old.state, new.state));
            }
            let by_hand = rows
                .audit
                .iter()
                .any(|line| line.run_id.as_ref() == Some(&new.run_id) && line.dag_id.as_ref() == Some(&new.dag_id));
            // A mapped task that has fewer instances now drops the last ones.
            let removed = new.state == TaskState::Removed && new.map_index >= 0;
            let again = rows
                .audit
                .iter()
                .any(|line| line.event == "backfill.create" && line.dag_id.as_ref() == Some(&new.dag_id));
            if old.state.is_finished() && new.state != old.state && !by_hand && !removed && !again {
                return Err(format!("I7: {name}: {} was terminal, now {}", old.state, new.state));
            }
            let stopped = old.state.is_executing() && new.state.is_finished() && new.token.is_none();
            let lost = new.note.as_ref().is_some_and(|note| note.starts_with("worker \""));
            if stopped && !lost {
                self.excused.insert(new.id);
            }
            if new.worker_losses > old.worker_losses {
                self.stats.lost_attempts += 1;
            }
        }
        self.check_limits(before)?;
        self.check_rate(self.leaders[at].term, &before.tis, rows)?;
        self.check_further(&before.old, &before.tis, rows)?;
        self.check_same_rows(at)
    }

    /// I8: the rows of what is in memory are the store's, and nothing open is missing from memory.
    fn check_same_rows(&self, at: usize) -> Result<(), String> {
        let engine = &self.leaders[at].engine;
        let mut seen: BTreeSet<TiId> = BTreeSet::new();
        for run in engine.runs() {
            let row = run.row();
            if self.store.runs.get(&row.run_no) != Some(&**row) {
                return Err(format!("I8: run {} differs from the store", row.run_id));
            }
            for ti in run.task_instances() {
                seen.insert(ti.id);
                if self.store.tis.get(&ti.id) != Some(ti) {
                    return Err(format!(
                        "I8: {}/{} differs from the store: {ti:?} / {:?}",
                        ti.run_id,
                        ti.task_id,
                        self.store.tis.get(&ti.id)
                    ));
                }
            }
        }
        for ti in self.store.tis.values() {
            let run = &self.store.runs[&ti.run_no];
            // A run that moved to another version leaves the rows of tasks that this one lacks.
            let is_left = ti.state == TaskState::Removed && self.store.spec_of(run).task(ti.task_id.as_str()).is_none();
            if !run.state.is_finished() && !is_left && !seen.contains(&ti.id) {
                return Err(format!("I8: {}/{} is not in memory", ti.run_id, ti.task_id));
            }
        }
        for row in engine.dags() {
            if self.store.dags.get(&row.dag_id) != Some(row) {
                return Err(format!("I8: DAG {} differs from the store", row.dag_id));
            }
        }
        Ok(())
    }

    /// I2, and the books of what was granted and reported.
    pub(crate) fn check_reply(&mut self, letter: &Letter, reply: &Reply) -> Result<(), String> {
        match (&letter.request, reply) {
            (Request::Claim(_), Reply::Claims(answers)) => {
                for answer in answers {
                    match answer {
                        ClaimAnswer::Granted(grant) => self.check_grant(grant.ti.key(), grant.token)?,
                        ClaimAnswer::Callback(grant) => self.check_grant(grant.callback.key(), grant.token)?,
                        ClaimAnswer::Refused(_) => self.stats.refused_claims += 1,
                        ClaimAnswer::Nothing => {}
                    }
                }
            }
            (Request::Report(_), Reply::Done) => self.stats.reports += 1,
            (Request::Report(_), Reply::Refused(_)) => self.stats.stale_reports += 1,
            _ => {}
        }
        Ok(())
    }

    fn check_grant(&mut self, key: AttemptKey, token: LeaseToken) -> Result<(), String> {
        self.stats.claims += 1;
        match self.granted.insert(key, token) {
            Some(other) if other != token => Err(format!("I2: {key} was granted to two tokens")),
            _ => Ok(()),
        }
    }

    /// I3 and I4, when a worker starts an attempt.
    pub(crate) fn check_start(&self, at: usize, grant: &Grant) -> Result<(), String> {
        let ti = &grant.ti;
        for (other_at, worker) in self.workers.iter().enumerate() {
            for held in &worker.held {
                let runs = held.kind == Kind::Task && held.key.ti == ti.id && held.ends_at > self.now;
                // Frozen past its lease, it cannot kill what it runs.
                let overslept = held.overslept || held.deadline <= self.now;
                if runs && !overslept && !self.excused.contains(&ti.id) {
                    return Err(format!("I3: w{at} starts {} while w{other_at} runs {}", ti.key(), held.key));
                }
            }
        }
        let spec = self.spec_of(ti)?;
        let run = &self.store.runs[&ti.run_no];
        if spec.trigger_rule != TriggerRule::AllSuccess || run.clear_number > 0 || run.state != RunState::Running {
            return Ok(());
        }
        let marked = self.store.tis.values().any(|other| other.run_no == ti.run_no && other.note.is_some());
        if marked {
            return Ok(());
        }
        for above in &spec.upstream {
            let task = self.store.spec_of(run).task(above.as_str());
            let same_group = spec.mapped_group.is_some() && task.is_some_and(|task| task.mapped_group.is_some());
            let concerns = |other: &&TaskInstance| {
                other.run_no == ti.run_no
                    && other.task_id == *above
                    && (!same_group || other.map_index == ti.map_index)
                    && other.state != TaskState::Removed
            };
            let states: Vec<TaskState> = self.store.tis.values().filter(concerns).map(|other| other.state).collect();
            if states.is_empty() || states.iter().any(|state| *state != TaskState::Success) {
                return Err(format!("I4: {} starts after {above} is {states:?}", ti.task_id));
            }
        }
        Ok(())
    }

    /// I9 and I10, between steps.
    pub(crate) fn check_memory(&mut self, at: usize) -> Result<(), String> {
        let engine = &self.leaders[at].engine;
        if let Some(wrong) = engine.check_invariants().first() {
            return Err(format!("I10: {wrong}"));
        }
        if self.leaders[at].term != self.store.term {
            return Ok(());
        }
        let hints: BTreeSet<_> = engine.all_queued_hints().into_iter().map(|hint| hint.key).collect();
        let queued = self.store.callbacks.values().filter(|row| row.state == CallbackState::Queued);
        if let Some(lost) = queued.map(tradewind_types::Callback::key).find(|key| !hints.contains(key)) {
            return Err(format!("I15: the callback {lost} is not in its queue"));
        }
        // Costly: not every time.
        if !self.stats.steps.is_multiple_of(4) || self.rate_counts() {
            return Ok(());
        }
        let (again, effects) = Engine::new(options(), self.store.load(), self.now);
        if let Some(wrong) = again.check_invariants().first() {
            return Err(format!("I9: reloaded: {wrong}"));
        }
        let rows = &effects.rows;
        if !rows.is_empty() {
            let engine = &self.leaders[at].engine;
            let why: Vec<_> = rows
                .task_instances
                .values()
                .map(|ti| &ti.row)
                .map(|ti| engine.explain(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index, self.now))
                .collect();
            return Err(format!(
                "I9: a reloaded engine would change rows: {:?} {:?} {:?} {why:?}",
                rows.runs.values().map(|run| &run.row).collect::<Vec<_>>(),
                rows.task_instances
                    .values()
                    .map(|ti| (&ti.row.run_id, &ti.row.task_id, ti.row.state))
                    .collect::<Vec<_>>(),
                (&rows.dags, &rows.callbacks, &rows.backfills)
            ));
        }
        let engine = &self.leaders[at].engine;
        if again.all_queued_hints() != engine.all_queued_hints() {
            return Err("I9: the hints differ".to_owned());
        }
        if again.pool_usage() != engine.pool_usage() {
            return Err("I9: the use of pools differs".to_owned());
        }
        let counts = (engine.counts(), again.counts());
        if (counts.0.runs_queued, counts.0.runs_running, counts.0.executing)
            != (counts.1.runs_queued, counts.1.runs_running, counts.1.executing)
        {
            return Err(format!("I9: the counts differ: {counts:?}"));
        }
        for row in engine.dags() {
            // What a custom timetable answered is not stored: the next leader asks again.
            if engine.timetable_question(&row.dag_id).is_ok_and(|question| question.is_some()) {
                continue;
            }
            let next = (engine.next_runs(&row.dag_id, 2), again.next_runs(&row.dag_id, 2));
            if next.0 != next.1 {
                return Err(format!("I9: the next runs of {} differ: {next:?}", row.dag_id));
            }
        }
        Ok(())
    }

    /// Whether every run is over, or waits for a past run that ended badly: only a person can mend that.
    pub(crate) fn all_over(&self) -> bool {
        let Some(leader) = self.leaders.first() else {
            return false;
        };
        if self.store.callbacks.values().any(|row| !row.state.is_finished()) {
            return false;
        }
        let open: Vec<_> = leader.engine.runs().filter(|run| !run.row().state.is_finished()).collect();
        let stuck: BTreeSet<_> = open
            .iter()
            .filter(|run| {
                run.row().state == RunState::Running
                    && run.task_instances().all(|ti| {
                        let still = matches!(
                            ti.state,
                            TaskState::NoStatus | TaskState::UpForRetry | TaskState::UpForReschedule
                        );
                        ti.state.is_finished() || still
                    })
                    && run.task_instances().any(|ti| self.waits_for_past(leader, ti))
            })
            .map(|run| run.row().run_no)
            .collect();
        // Queued ones wait behind those that wait.
        let blocked: BTreeSet<_> =
            open.iter().filter(|run| stuck.contains(&run.row().run_no)).map(|run| run.row().dag_id.clone()).collect();
        open.iter().all(|run| {
            let row = run.row();
            stuck.contains(&row.run_no) || row.state == RunState::Queued && blocked.contains(&row.dag_id)
        }) && self
            .store
            .runs
            .values()
            .all(|run| run.state.is_finished() || leader.engine.run(&run.dag_id, &run.run_id).is_some())
    }

    fn waits_for_past(&self, leader: &crate::leader::Leader, ti: &TaskInstance) -> bool {
        leader.engine.explain(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index, self.now).is_ok_and(|reasons| {
            reasons.iter().any(|reason| matches!(reason, tradewind_types::BlockReason::PreviousRun { .. }))
        })
    }

    pub(crate) fn open_instances(&self) -> String {
        let open: Vec<String> =
            self.store
                .tis
                .values()
                .filter(|ti| !ti.state.is_finished() && !self.store.runs[&ti.run_no].state.is_finished())
                .map(|ti| {
                    let why = self.leaders.first().map(|leader| {
                        leader.engine.explain(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index, self.now)
                    });
                    format!("{}/{}/{}[{}] {}: {why:?}", ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.state)
                })
                .collect();
        let callbacks = self.store.callbacks.values().filter(|row| !row.state.is_finished()).count();
        format!("{}; {callbacks} callbacks", open.join(", "))
    }

    /// The runs of the first leader, for a failure's trace.
    pub(crate) fn dump(&self) -> Vec<String> {
        let Some(leader) = self.leaders.first() else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let mut runs: Vec<_> = leader.engine.runs().collect();
        runs.sort_by_key(|run| (run.row().dag_id.clone(), run.row().logical_date));
        for run in runs {
            let row = run.row();
            let spec = &run.version().spec;
            lines.push(format!(
                "run {} {} {} {} v{} catchup {} date {:?} cleared {}",
                row.run_no,
                row.dag_id,
                row.run_id,
                row.state,
                run.version().number,
                spec.catchup,
                row.logical_date,
                row.clear_number
            ));
            for ti in run.task_instances() {
                let Some(task) = spec.task(ti.task_id.as_str()) else {
                    continue;
                };
                lines.push(format!(
                    "  {}[{}] {} {} up {:?} past {} wait {} per dag {:?} per run {:?} setup {} teardown {} pool {} {} skips {:?} attempt {} note {:?} expand {:?} group {:?} length {:?} wait {:?}",
                    ti.task_id,
                    ti.map_index,
                    ti.state,
                    task.trigger_rule,
                    task.upstream,
                    task.depends_on_past,
                    task.wait_for_downstream,
                    task.max_active_tis_per_dag,
                    task.max_active_tis_per_dagrun,
                    task.is_setup,
                    task.is_teardown,
                    ti.pool,
                    ti.pool_slots,
                    ti.skips,
                    ti.attempt,
                    ti.note,
                    task.expand,
                    task.mapped_group,
                    ti.xcom_length,
                    ti.deferral
                ));
            }
        }
        lines
    }

    /// I11, and that nothing is left executing.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        for ti in self.store.tis.values() {
            if ti.state.is_executing() {
                return Err(format!("I1: {}/{} is {}", ti.run_id, ti.task_id, ti.state));
            }
            let xcom = self.store.xcoms.get(&(ti.id, tradewind_types::XCOM_RETURN_KEY.to_owned()));
            if let Some(xcom) = xcom
                && ti.token.is_some()
                && xcom.value != ti.attempt
            {
                return Err(format!(
                    "I11: {}/{} ended with attempt {}, its XCom is of {}",
                    ti.run_id, ti.task_id, ti.attempt, xcom.value
                ));
            }
        }
        Ok(())
    }
}

/// Whether legal transitions lead from one state to another: a commit may hold several.
fn reachable(from: TaskState, to: TaskState) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while next < seen.len() {
        let state = seen[next];
        next += 1;
        if state == to {
            return true;
        }
        for &further in TaskState::ALL {
            if is_legal(state, further) && !seen.contains(&further) {
                seen.push(further);
            }
        }
    }
    false
}
