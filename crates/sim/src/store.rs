//! The store of the simulation: rows under a term, with the uniqueness rules of the real ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tradewind_engine::Snapshot;
use tradewind_types::{
    Asset, AssetEvent, AssetKey, Backfill, BackfillItem, Callback, DagId, DagRow, DagRun, DagVersion, HumanInput, Pool,
    PoolName, RunNo, RunType, TaskInstance, TaskTry, TiId, Timestamp, VersionHash, WriteSet, XCom,
};

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) term: u64,
    pub(crate) dags: BTreeMap<DagId, DagRow>,
    pub(crate) versions: BTreeMap<(DagId, VersionHash), Arc<DagVersion>>,
    pub(crate) runs: BTreeMap<RunNo, DagRun>,
    pub(crate) tis: BTreeMap<TiId, TaskInstance>,
    pub(crate) tries: BTreeMap<(TiId, u32), TaskTry>,
    pub(crate) xcoms: BTreeMap<(TiId, String), XCom>,
    pub(crate) pools: BTreeMap<PoolName, Pool>,
    pub(crate) assets: BTreeMap<AssetKey, Asset>,
    pub(crate) asset_aliases: BTreeSet<(String, AssetKey)>,
    pub(crate) asset_events: BTreeMap<u64, AssetEvent>,
    pub(crate) consumed_events: BTreeSet<(RunNo, u64)>,
    pub(crate) callbacks: BTreeMap<TiId, Callback>,
    pub(crate) backfills: BTreeMap<u64, Backfill>,
    pub(crate) backfill_items: BTreeMap<(u64, u32), BackfillItem>,
    pub(crate) human_inputs: BTreeMap<TiId, HumanInput>,
}

pub(crate) enum CommitError {
    /// Another leader took over; nothing was written.
    StaleTerm,
    /// A uniqueness rule was broken.
    Conflict(String),
}

impl Store {
    pub(crate) fn commit(&mut self, term: u64, rows: &WriteSet, guard: bool) -> Result<(), CommitError> {
        if guard && term != self.term {
            return Err(CommitError::StaleTerm);
        }
        self.check_unique(rows).map_err(CommitError::Conflict)?;
        for version in &rows.versions {
            let key = (version.spec.dag_id.clone(), version.hash.clone());
            self.versions.entry(key).or_insert_with(|| Arc::clone(version));
        }
        self.dags.extend(rows.dags.clone());
        for (no, changed) in &rows.runs {
            self.runs.insert(*no, changed.row.clone());
        }
        for (id, changed) in &rows.task_instances {
            self.tis.insert(*id, changed.row.clone());
        }
        for attempt in &rows.tries {
            self.tries.insert((attempt.ti, attempt.attempt), attempt.clone());
        }
        for ti in &rows.xcoms_cleared {
            self.xcoms.retain(|(owner, _), _| owner != ti);
        }
        for xcom in &rows.xcoms {
            self.xcoms.insert((xcom.ti, xcom.key.clone()), xcom.clone());
        }
        for (name, pool) in &rows.pools {
            match pool {
                Some(pool) => self.pools.insert(name.clone(), pool.clone()),
                None => self.pools.remove(name),
            };
        }
        self.assets.extend(rows.assets.clone());
        self.asset_aliases.extend(rows.asset_aliases.iter().cloned());
        for event in &rows.asset_events {
            self.asset_events.entry(event.no).or_insert_with(|| event.clone());
        }
        self.consumed_events.extend(rows.consumed_events.iter().copied());
        self.callbacks.extend(rows.callbacks.clone());
        self.backfills.extend(rows.backfills.clone());
        for item in &rows.backfill_items {
            self.backfill_items.insert((item.backfill, item.ordinal), item.clone());
        }
        self.human_inputs.extend(rows.human_inputs.clone());
        Ok(())
    }

    fn check_unique(&self, rows: &WriteSet) -> Result<(), String> {
        for (no, changed) in &rows.runs {
            if changed.is_new == self.runs.contains_key(no) {
                return Err(format!("run {no}: insert and update confused"));
            }
            if !changed.is_new {
                continue;
            }
            let run = &changed.row;
            for other in self.runs.values().filter(|other| other.dag_id == run.dag_id) {
                let same_date = run.logical_date.is_some() && other.logical_date == run.logical_date;
                if other.run_id == run.run_id || same_date {
                    return Err(format!("I6: {} / {} exists twice", run.dag_id, run.run_id));
                }
            }
        }
        let moved = |no| match (self.runs.get(&no), rows.runs.get(&no)) {
            (Some(before), Some(now)) => before.version != now.row.version,
            _ => false,
        };
        for (id, changed) in &rows.task_instances {
            let is_known = self.tis.contains_key(id);
            // A run that moves to another version has its instances written whole.
            if changed.is_new == is_known && !(is_known && moved(changed.row.run_no)) {
                return Err(format!("{id}: insert and update confused"));
            }
        }
        for event in &rows.asset_events {
            if self.asset_events.get(&event.no).is_some_and(|known| known != event) {
                return Err(format!("I14: the asset event {} is told twice, each time differently", event.no));
            }
        }
        let mut seen = BTreeSet::new();
        for attempt in &rows.tries {
            let key = (attempt.ti, attempt.attempt);
            if self.tries.contains_key(&key) || !seen.insert(key) {
                return Err(format!("I6: attempt {} of {} is kept twice", attempt.attempt, attempt.ti));
            }
        }
        Ok(())
    }

    /// The spec of a run's version.
    pub(crate) fn spec_of(&self, run: &DagRun) -> &tradewind_types::DagSpec {
        &self.versions[&(run.dag_id.clone(), run.version.clone())].spec
    }

    /// What a new leader loads: see `Store::load` of the ports.
    pub(crate) fn load(&self) -> Snapshot {
        let mut runs: BTreeSet<RunNo> =
            self.runs.values().filter(|run| !run.state.is_finished()).map(|run| run.run_no).collect();
        let mut with_instances = runs.clone();
        let at = |run: &DagRun| run.logical_date.unwrap_or(run.run_after);
        for (dag_id, dag) in &self.dags {
            let of_dag = || self.runs.values().filter(|run| run.dag_id == *dag_id);
            let last: Option<&DagRun> =
                of_dag().filter(|run| run.run_type == RunType::Scheduled).max_by_key(|run| at(run));
            runs.extend(last.map(|run| run.run_no));
            let from: Option<Timestamp> = last.map(at);
            runs.extend(of_dag().filter(|run| run.logical_date > from).map(|run| run.run_no));
            let past = |task: &tradewind_types::TaskSpec| task.depends_on_past || task.wait_for_downstream;
            let versions =
                of_dag().filter(|run| !run.state.is_finished()).map(|run| &run.version).chain([&dag.version]);
            let depends = versions
                .map(|hash| &self.versions[&(dag_id.clone(), hash.clone())])
                .any(|version| version.spec.tasks.iter().any(past));
            if depends {
                let earliest = of_dag().filter(|run| !run.state.is_finished()).filter_map(|run| run.logical_date).min();
                let finished = || of_dag().filter(|run| run.state.is_finished() && run.logical_date.is_some());
                let before = |run: &&DagRun| earliest.is_none_or(|at| run.logical_date < Some(at));
                let latest = finished().filter(before).filter_map(|run| run.logical_date).max();
                let scheduled = finished()
                    .filter(before)
                    .filter(|run| run.run_type != RunType::Manual)
                    .filter_map(|run| run.logical_date)
                    .max();
                let from = scheduled.or(latest);
                for run in finished().filter(|run| run.logical_date >= from) {
                    runs.insert(run.run_no);
                    with_instances.insert(run.run_no);
                }
            }
        }
        Snapshot {
            dags: self
                .dags
                .values()
                .map(|row| {
                    let key = (row.dag_id.clone(), row.version.clone());
                    (row.clone(), Arc::clone(&self.versions[&key]))
                })
                .collect(),
            versions: self.versions.values().cloned().collect(),
            runs: runs.iter().map(|no| self.runs[no].clone()).collect(),
            task_instances: self.tis.values().filter(|ti| with_instances.contains(&ti.run_no)).cloned().collect(),
            pools: self.pools.values().cloned().collect(),
            assets: self.assets.values().cloned().collect(),
            asset_aliases: self.asset_aliases.iter().cloned().collect(),
            backfills: self.backfills.values().filter(|row| row.completed_at.is_none()).cloned().collect(),
            callbacks: self
                .callbacks
                .values()
                .filter(|row| !row.state.is_finished())
                .map(|row| (row.clone(), self.runs[&row.run_no].clone()))
                .collect(),
            human_inputs: self.human_inputs.values().filter(|row| row.responded_at.is_none()).cloned().collect(),
            next_run_no: self.runs.keys().next_back().map_or(1, |no| no.0 + 1),
            next_event_no: self.asset_events.keys().next_back().map_or(1, |no| no + 1),
            next_backfill_no: self.backfills.keys().next_back().map_or(1, |no| no + 1),
        }
    }
}
