//! What the engine wants stored: a set of rows that is committed in one transaction under the leader's term.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{
    Asset, AssetEvent, AssetKey, AuditEvent, Backfill, BackfillItem, Callback, DagId, DagRow, DagRun, DagVersion,
    HumanInput, Pool, PoolName, RunNo, TaskInstance, TaskTry, TiId, XCom,
};

/// A row with whether the store has it already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed<T> {
    /// The row as it is now; the last change wins.
    pub row: T,
    /// Whether it is written whole: it was made in this set and must be inserted, or it is an instance of a run that moved to
    /// another version, by which its pool, queue and priority changed; an update leaves these alone.
    pub is_new: bool,
}

/// Rows to be stored together. Several changes of one row collapse into the last: the set grows with the rows touched,
/// not with the transitions made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteSet {
    /// Versions of DAGs to be inserted where missing.
    pub versions: Vec<std::sync::Arc<DagVersion>>,
    /// DAGs to be inserted or updated.
    pub dags: IndexMap<DagId, DagRow>,
    /// Runs.
    pub runs: IndexMap<RunNo, Changed<DagRun>>,
    /// Task instances.
    pub task_instances: IndexMap<TiId, Changed<TaskInstance>>,
    /// Past attempts, appended.
    pub tries: Vec<TaskTry>,
    /// Task instances whose XComs are deleted, before `xcoms` are written.
    pub xcoms_cleared: Vec<TiId>,
    /// XComs, inserted or replaced.
    pub xcoms: Vec<XCom>,
    /// Pools to be inserted or updated (`Some`) or deleted (`None`).
    pub pools: IndexMap<PoolName, Option<Pool>>,
    /// Assets to be inserted or updated.
    pub assets: IndexMap<AssetKey, Asset>,
    /// Assets that events of an alias were attached to: (alias, asset), inserted where missing.
    pub asset_aliases: Vec<(String, AssetKey)>,
    /// Asset events, appended; the same number again changes nothing.
    pub asset_events: Vec<AssetEvent>,
    /// The events that each asset-triggered run consumed, appended; the same again changes nothing.
    pub consumed_events: Vec<(RunNo, u64)>,
    /// Callbacks to be inserted or updated.
    pub callbacks: IndexMap<TiId, Callback>,
    /// Backfills to be inserted or updated.
    pub backfills: IndexMap<u64, Backfill>,
    /// What backfills do about each date: inserted, or replaced by (backfill, ordinal).
    pub backfill_items: Vec<BackfillItem>,
    /// Questions to people and their answers, inserted or replaced by task instance.
    pub human_inputs: IndexMap<TiId, HumanInput>,
    /// Lines for the audit trail.
    pub audit: Vec<AuditEvent>,
}

impl WriteSet {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
            && self.dags.is_empty()
            && self.runs.is_empty()
            && self.task_instances.is_empty()
            && self.tries.is_empty()
            && self.xcoms_cleared.is_empty()
            && self.xcoms.is_empty()
            && self.pools.is_empty()
            && self.assets.is_empty()
            && self.asset_aliases.is_empty()
            && self.asset_events.is_empty()
            && self.consumed_events.is_empty()
            && self.callbacks.is_empty()
            && self.backfills.is_empty()
            && self.backfill_items.is_empty()
            && self.human_inputs.is_empty()
            && self.audit.is_empty()
    }

    /// Notes a run; `is_new` when the store does not have it yet.
    pub fn run(&mut self, run: &DagRun, is_new: bool) {
        let entry = self.runs.entry(run.run_no);
        match entry {
            indexmap::map::Entry::Occupied(mut entry) => entry.get_mut().row = run.clone(),
            indexmap::map::Entry::Vacant(entry) => {
                entry.insert(Changed { row: run.clone(), is_new });
            }
        }
    }

    /// Notes a task instance; `is_new` when the store does not have it yet, or not as its run's version has it.
    pub fn task_instance(&mut self, ti: &TaskInstance, is_new: bool) {
        match self.task_instances.entry(ti.id) {
            indexmap::map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.row = ti.clone();
                known.is_new |= is_new;
            }
            indexmap::map::Entry::Vacant(entry) => {
                entry.insert(Changed { row: ti.clone(), is_new });
            }
        }
    }

    /// Adds a later set to this one, as if both had been made in one step.
    pub fn merge(&mut self, later: WriteSet) {
        self.versions.extend(later.versions);
        self.dags.extend(later.dags);
        for (_, changed) in later.runs {
            self.run(&changed.row, changed.is_new);
        }
        for (_, changed) in later.task_instances {
            self.task_instance(&changed.row, changed.is_new);
        }
        self.tries.extend(later.tries);
        // XComs cleared by the later set and written by this one must not survive the merge.
        self.xcoms.retain(|xcom| !later.xcoms_cleared.contains(&xcom.ti));
        self.xcoms_cleared.extend(later.xcoms_cleared);
        self.xcoms.extend(later.xcoms);
        self.pools.extend(later.pools);
        self.assets.extend(later.assets);
        self.asset_aliases.extend(later.asset_aliases);
        self.asset_events.extend(later.asset_events);
        self.consumed_events.extend(later.consumed_events);
        self.callbacks.extend(later.callbacks);
        self.backfills.extend(later.backfills);
        self.backfill_items.extend(later.backfill_items);
        self.human_inputs.extend(later.human_inputs);
        self.audit.extend(later.audit);
    }
}
