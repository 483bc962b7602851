//! The invariants, checked against what was committed and what workers really do.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_engine::{ClaimAnswer, Engine, Reply, is_legal};
use tradewind_types::{
    AttemptKey, Grant, LeaseToken, PoolName, RunNo, RunState, TaskInstance, TaskSpec, TaskState, TiId, TriggerRule,
    WriteSet,
};

use crate::{
    leader::{Letter, Request, options},
    world::World,
};

/// The rows that a commit replaces.
pub(crate) struct Before {
    tis: Vec<TaskInstance>,
    pools: BTreeMap<PoolName, u64>,
    slots: BTreeMap<PoolName, i64>,
    active: BTreeMap<RunNo, u32>,
}

impl World {
    pub(crate) fn before_commit(&self, rows: &WriteSet) -> Before {
        Before {
            tis: rows.task_instances.keys().filter_map(|id| self.store.tis.get(id).cloned()).collect(),
            pools: self.pool_use(),
            slots: self.store.pools.iter().map(|(name, pool)| (name.clone(), pool.slots)).collect(),
            active: self.active_by_run(),
        }
    }

    fn pool_use(&self) -> BTreeMap<PoolName, u64> {
        let mut used = BTreeMap::new();
        for ti in self.store.tis.values().filter(|ti| ti.state.is_executing()) {
            *used.entry(ti.pool.clone()).or_default() += u64::from(ti.pool_slots);
        }
        used
    }

    fn active_by_run(&self) -> BTreeMap<RunNo, u32> {
        let mut active = BTreeMap::new();
        for ti in self.store.tis.values().filter(|ti| ti.state.is_executing()) {
            *active.entry(ti.run_no).or_default() += 1;
        }
        active
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
            if old.state.is_finished() && new.state != old.state && !by_hand {
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
        self.check_same_rows(at)
    }

    fn check_limits(&self, before: &Before) -> Result<(), String> {
        for (name, used) in self.pool_use() {
            let before_slots = before.slots.get(&name).copied().unwrap_or(0);
            let after_slots = self.store.pools.get(&name).map_or(0, |pool| pool.slots);
            // The batch may have admitted some before it resized the pool.
            let slots = if before_slots < 0 { -1 } else { after_slots.max(before_slots) };
            let slots = if after_slots < 0 { -1 } else { slots };
            let was = before.pools.get(&name).copied().unwrap_or(0);
            // A pool that was made smaller drains; it never takes more.
            let most = u64::try_from(slots).map_or(u64::MAX, |slots| slots.max(was));
            if used > most {
                return Err(format!("I5: pool {name} holds {used} of {slots} slots"));
            }
        }
        let mut executing = 0;
        for (run_no, active) in self.active_by_run() {
            let run = &self.store.runs[&run_no];
            let limit = self.store.versions[&(run.dag_id.clone(), run.version.clone())].spec.max_active_tasks;
            executing += active;
            let was = before.active.get(&run_no).copied().unwrap_or(0);
            if active > limit.max(was) {
                return Err(format!("I5: {active} of {limit} active in {}", run.run_id));
            }
        }
        if executing > options().parallelism {
            return Err(format!("I5: {executing} execute in all"));
        }
        let mut per_task: BTreeMap<(String, String), (u32, u32)> = BTreeMap::new();
        for ti in self.store.tis.values().filter(|ti| ti.state.is_executing()) {
            if let Some(limit) = self.spec_of(ti)?.max_active_tis_per_dag {
                let key = (ti.dag_id.to_string(), ti.task_id.to_string());
                let entry = per_task.entry(key).or_insert((0, limit));
                entry.0 += 1;
                entry.1 = entry.1.max(limit);
            }
        }
        for ((dag, task), (active, limit)) in per_task {
            if active > limit {
                return Err(format!("I5: {active} of {limit} of {dag}/{task} execute"));
            }
        }
        Ok(())
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
            if !self.store.runs[&ti.run_no].state.is_finished() && !seen.contains(&ti.id) {
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
                        ClaimAnswer::Granted(grant) => self.check_grant(grant)?,
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

    fn check_grant(&mut self, grant: &Grant) -> Result<(), String> {
        self.stats.claims += 1;
        let key = grant.ti.key();
        match self.granted.insert(key, grant.token) {
            Some(token) if token != grant.token => Err(format!("I2: {key} was granted to two tokens")),
            _ => Ok(()),
        }
    }

    /// I3 and I4, when a worker starts an attempt.
    pub(crate) fn check_start(&self, at: usize, grant: &Grant) -> Result<(), String> {
        let ti = &grant.ti;
        for (other_at, worker) in self.workers.iter().enumerate() {
            for held in &worker.held {
                let runs = held.key.ti == ti.id && held.ends_at > self.now;
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
        for above in &spec.upstream {
            let state = self
                .store
                .tis
                .values()
                .find(|other| other.run_no == ti.run_no && other.task_id == *above)
                .map(|other| other.state);
            let marked = self.store.tis.values().any(|other| other.run_no == ti.run_no && other.note.is_some());
            if state != Some(TaskState::Success) && !marked {
                return Err(format!("I4: {} starts after {above} is {state:?}", ti.task_id));
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
        // Costly: not every time.
        if !self.stats.steps.is_multiple_of(4) {
            return Ok(());
        }
        let (again, effects) = Engine::new(options(), self.store.load(), self.now);
        if let Some(wrong) = again.check_invariants().first() {
            return Err(format!("I9: reloaded: {wrong}"));
        }
        let rows = &effects.rows;
        if !rows.is_empty() {
            return Err(format!(
                "I9: a reloaded engine would change rows: {:?} {:?} {:?}",
                rows.runs.values().map(|run| &run.row).collect::<Vec<_>>(),
                rows.task_instances
                    .values()
                    .map(|ti| (&ti.row.run_id, &ti.row.task_id, ti.row.state))
                    .collect::<Vec<_>>(),
                rows.dags
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
        let open: Vec<_> = leader.engine.runs().filter(|run| !run.row().state.is_finished()).collect();
        let stuck: BTreeSet<_> = open
            .iter()
            .filter(|run| {
                run.row().state == RunState::Running
                    && run.task_instances().all(|ti| {
                        let still = matches!(ti.state, TaskState::NoStatus | TaskState::UpForRetry);
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
        let open: Vec<String> = self
            .store
            .tis
            .values()
            .filter(|ti| !self.store.runs[&ti.run_no].state.is_finished())
            .map(|ti| format!("{}/{}/{} {}", ti.dag_id, ti.run_id, ti.task_id, ti.state))
            .collect();
        open.join(", ")
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
                    "  {} {} {} up {:?} past {} wait {} per dag {:?} per run {:?} setup {} teardown {} pool {} {} skips {:?} attempt {} note {:?}",
                    ti.task_id,
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
                    ti.note
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

/// I12: the instances of attempts that a letter names and that are not current, and the tokens that must be cancelled.
pub(crate) struct Current {
    stale: Vec<(TiId, Option<TaskInstance>, Option<tradewind_types::Timestamp>)>,
    cancel: Vec<LeaseToken>,
}

impl Current {
    pub(crate) fn of(engine: &Engine, request: &Request) -> Self {
        let named: Vec<_> = match request {
            Request::Report(report) => vec![(report.key, report.token)],
            Request::Heartbeat { holds, .. } => holds.clone(),
            Request::Claim(_) | Request::Register { .. } => Vec::new(),
        };
        let mut current = Self { stale: Vec::new(), cancel: Vec::new() };
        let is_current = |key: AttemptKey, token: LeaseToken| {
            engine.task_instance(key.ti).is_some_and(|row| {
                row.attempt == key.attempt
                    && row.token == Some(token)
                    && matches!(row.state, TaskState::Running | TaskState::Restarting)
            })
        };
        for &(key, token) in &named {
            if !is_current(key, token) {
                let row = engine.task_instance(key.ti);
                // The same letter may name the current attempt as well, or end a restart by leaving it out.
                let also_current = named.iter().any(|&(other, token)| other.ti == key.ti && is_current(other, token));
                let restarts = row.is_some_and(|row| row.state == TaskState::Restarting);
                if !also_current && !restarts {
                    let lease = engine.lease_until(key.ti);
                    current.stale.push((key.ti, row.cloned(), lease));
                }
                if matches!(request, Request::Heartbeat { .. }) {
                    current.cancel.push(token);
                }
            }
        }
        current
    }

    pub(crate) fn check(&self, engine: &Engine, reply: &Reply) -> Result<(), String> {
        for (ti, row, lease) in &self.stale {
            if engine.task_instance(*ti) != row.as_ref() || engine.lease_until(*ti) != *lease {
                return Err(format!("I12: {ti} was changed by a stale attempt"));
            }
        }
        if let Reply::Heartbeat { cancel } = reply
            && !self.cancel.iter().all(|token| cancel.contains(token))
        {
            return Err("I12: a stale attempt was not told to stop".to_owned());
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
