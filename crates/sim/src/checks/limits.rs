//! I5: pools with their rates, parallelism, the limits of runs, DAGs, tasks and concurrency keys.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tradewind_types::{DagId, PoolName, RunNo, TaskInstance, TaskState, WriteSet};

use super::Before;
use crate::{dags::POOLS, leader::options, world::World};

impl World {
    /// Slots that are in use, by pool. A task that starts in its trigger waits in a pool without having been admitted.
    pub(super) fn pool_use(&self) -> BTreeMap<PoolName, u64> {
        let mut used = BTreeMap::new();
        for ti in self.store.tis.values() {
            let include_deferred = self.store.pools.get(&ti.pool).is_some_and(|pool| pool.include_deferred);
            let keeps = ti.state == TaskState::Deferred
                && include_deferred
                && self.spec_of(ti).is_ok_and(|task| task.start_trigger.is_none());
            if ti.state.is_executing() || keeps {
                *used.entry(ti.pool.clone()).or_default() += u64::from(ti.pool_slots);
            }
        }
        used
    }

    pub(super) fn active_by_run(&self) -> BTreeMap<RunNo, u32> {
        let mut active = BTreeMap::new();
        for ti in self.store.tis.values().filter(|ti| ti.state.is_executing()) {
            *active.entry(ti.run_no).or_default() += 1;
        }
        active
    }

    pub(super) fn check_limits(&self, before: &Before) -> Result<(), String> {
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
            let limit = self.store.spec_of(run).max_active_tasks;
            executing += active;
            let was = before.active.get(&run_no).copied().unwrap_or(0);
            if active > limit.max(was) {
                return Err(format!("I5: {active} of {limit} active in {}", run.run_id));
            }
        }
        if executing > options().parallelism {
            return Err(format!("I5: {executing} execute in all"));
        }
        self.check_shared_limits()
    }

    /// Limits over all runs. Where instances disagree (versions, tasks), the last one admitted kept to its own: so the
    /// highest of those that execute is never exceeded.
    fn check_shared_limits(&self) -> Result<(), String> {
        let mut tasks: BTreeMap<(&DagId, &str), (u32, u32)> = BTreeMap::new();
        let mut dags: BTreeMap<&DagId, (u32, u32)> = BTreeMap::new();
        let mut keys: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let add = |entry: &mut (u32, u32), limit: u32| *entry = (entry.0 + 1, entry.1.max(limit));
        for ti in self.store.tis.values().filter(|ti| ti.state.is_executing()) {
            let task = self.spec_of(ti)?;
            if let Some(limit) = task.max_active_tis_per_dag {
                add(tasks.entry((&ti.dag_id, ti.task_id.as_str())).or_default(), limit);
            }
            if let Some(limit) = self.store.spec_of(&self.store.runs[&ti.run_no]).task_limit {
                add(dags.entry(&ti.dag_id).or_default(), limit);
            }
            for shared in &task.concurrency {
                add(keys.entry(&shared.key).or_default(), shared.limit);
            }
        }
        let over = |(active, limit): &(u32, u32)| active > limit;
        if let Some(((dag, task), (active, limit))) = tasks.iter().find(|(_, counts)| over(counts)) {
            return Err(format!("I5: {active} of {limit} of {dag}/{task} execute"));
        }
        if let Some((dag, (active, limit))) = dags.iter().find(|(_, counts)| over(counts)) {
            return Err(format!("I5: {active} of {limit} task instances of {dag} execute"));
        }
        match keys.iter().find(|(_, counts)| over(counts)) {
            Some((key, (active, limit))) => Err(format!("I5: {active} of {limit} execute under the key {key}")),
            None => Ok(()),
        }
    }

    /// Within one term, a pool with a rate starts no more than that.
    pub(super) fn check_rate(&mut self, term: u64, before: &[TaskInstance], rows: &WriteSet) -> Result<(), String> {
        let name = PoolName::from(POOLS[2]);
        let Some(rate) = self.store.pools.get(&name).and_then(|pool| pool.rate) else { return Ok(()) };
        let before: BTreeMap<_, _> = before.iter().map(|ti| (ti.id, ti)).collect();
        for (id, changed) in &rows.task_instances {
            let new = &changed.row;
            let old = before.get(id);
            let admitted = matches!(new.state, TaskState::Queued | TaskState::Running)
                && old.is_none_or(|old| !old.state.is_executing() && old.queued_at != new.queued_at);
            if let Some(at) = new.queued_at.filter(|_| admitted && new.pool == name) {
                self.books.starts.push((at, term));
            }
        }
        let window = SignedDuration::from_secs(i64::from(rate.per_secs));
        let now = self.now;
        self.books.starts.retain(|(at, _)| now.duration_since(*at) < window);
        let count = self.books.starts.iter().filter(|(_, of)| *of == term).count();
        if count > rate.starts as usize {
            return Err(format!(
                "I5: {count} starts in the pool {name} in {} s, at most {}",
                rate.per_secs, rate.starts
            ));
        }
        Ok(())
    }

    /// Whether a pool's rate holds something back, or may: a new leader does not know what its predecessor started.
    pub(super) fn rate_counts(&self) -> bool {
        let name = PoolName::from(POOLS[2]);
        let rated = self.store.pools.get(&name).is_some_and(|pool| pool.rate.is_some());
        let waits = |ti: &TaskInstance| ti.state == TaskState::Scheduled && ti.pool == name;
        !self.books.starts.is_empty() || rated && self.store.tis.values().any(waits)
    }
}
