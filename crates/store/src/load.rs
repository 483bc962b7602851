//! What a leader loads at the start of its term.
//!
//! Nobody else writes these rows: taking the lease waited for every commit of the former leader, and later ones are
//! refused. So the reads need no common snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tradewind_ports::{StoreError, StoreSnapshot};
use tradewind_types::{Callback, DagId, DagRun, DagSpec, DagVersion, RunNo, Timestamp, VersionHash};

use crate::{assets, backfills, callbacks, dags, db::Db, resources, runs, task_instances};

/// Whether an instance of the DAG may look at the run before its own.
fn looks_back(spec: &DagSpec) -> bool {
    spec.tasks.iter().any(|task| task.depends_on_past || task.wait_for_downstream)
}

pub(crate) async fn load(db: &Db) -> Result<StoreSnapshot, StoreError> {
    let dags = dags::all(db).await?;
    let mut backward: BTreeSet<DagId> =
        dags.iter().filter(|(_, version)| looks_back(&version.spec)).map(|(dag, _)| dag.dag_id.clone()).collect();
    let mut versions = Versions {
        have: dags.iter().map(|(dag, _)| (dag.dag_id.clone(), dag.version.clone())).collect(),
        found: vec![],
    };

    let active = runs::not_over(db).await?;
    let is_active: BTreeSet<RunNo> = active.iter().map(|run| run.run_no).collect();
    let mut task_instances = task_instances::of_active_runs(db).await?;
    // Active runs may keep versions that look back although the current one does not.
    versions.add(db, &active).await?;
    backward.extend(versions.found.iter().filter(|v| looks_back(&v.spec)).map(|v| v.spec.dag_id.clone()));

    let mut over = runs::latest_scheduled(db).await?;
    over.extend(runs::finished_later(db).await?);
    for dag_id in &backward {
        let dates = active.iter().filter(|run| run.dag_id == *dag_id).filter_map(|run| run.logical_date);
        over.extend(runs::finished_from_before(db, dag_id.as_str(), dates.min().unwrap_or(Timestamp::MAX)).await?);
    }
    versions.add(db, &over).await?;
    let mut found: BTreeMap<RunNo, DagRun> = active.into_iter().chain(over).map(|run| (run.run_no, run)).collect();
    let looked_at: Vec<RunNo> = found
        .values()
        .filter(|run| backward.contains(&run.dag_id) && !is_active.contains(&run.run_no))
        .map(|run| run.run_no)
        .collect();
    if !looked_at.is_empty() {
        task_instances.extend(task_instances::of_runs(db, &looked_at).await?);
    }

    let callbacks = with_runs(db, callbacks::not_over(db).await?, &found).await?;
    versions.add(db, callbacks.iter().map(|(_, run)| run)).await?;
    Ok(StoreSnapshot {
        dags,
        versions: versions.found,
        runs: std::mem::take(&mut found).into_values().collect(),
        task_instances,
        pools: resources::pools(db).await?,
        assets: assets::all(db).await?,
        asset_aliases: assets::aliases(db).await?,
        backfills: backfills::not_completed(db).await?,
        callbacks,
        next_run_no: runs::next_no(db).await?,
        next_event_no: assets::next_event_no(db).await?,
        next_backfill_no: backfills::next_no(db).await?,
    })
}

/// The versions that are loaded.
struct Versions {
    have: BTreeSet<(DagId, VersionHash)>,
    /// Those that are not current.
    found: Vec<Arc<DagVersion>>,
}

impl Versions {
    /// Loads what `runs` need and is not there yet.
    async fn add(&mut self, db: &Db, runs: impl IntoIterator<Item = &DagRun>) -> Result<(), StoreError> {
        let mut wanted = Vec::new();
        for run in runs {
            let name = (run.dag_id.clone(), run.version.clone());
            if self.have.insert(name.clone()) {
                wanted.push(name);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let versions = dags::versions(db, &wanted).await?;
        // A run's version is a foreign key.
        if versions.len() != wanted.len() {
            return Err(StoreError::Broken("a run names a version that is not stored".to_owned()));
        }
        self.found.extend(versions);
        Ok(())
    }
}

/// Each callback with its run.
async fn with_runs(
    db: &Db,
    callbacks: Vec<Callback>,
    found: &BTreeMap<RunNo, DagRun>,
) -> Result<Vec<(Callback, DagRun)>, StoreError> {
    let missing: BTreeSet<RunNo> =
        callbacks.iter().map(|callback| callback.run_no).filter(|no| !found.contains_key(no)).collect();
    let more: Vec<DagRun> = match missing.is_empty() {
        true => Vec::new(),
        false => runs::numbered(db, &missing.into_iter().collect::<Vec<_>>()).await?,
    };
    let more: BTreeMap<RunNo, DagRun> = more.into_iter().map(|run| (run.run_no, run)).collect();
    callbacks
        .into_iter()
        .map(|callback| {
            let run = found.get(&callback.run_no).or_else(|| more.get(&callback.run_no)).cloned();
            run.map(|run| (callback, run))
                .ok_or_else(|| StoreError::Broken("a callback names a run that is not stored".to_owned()))
        })
        .collect()
}
