//! What a leader loads at the start of its term.
//!
//! Nobody else writes these rows: taking the lease waited for every commit of the former leader, and later ones are
//! refused. So the reads need no common snapshot.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_ports::{StoreError, StoreSnapshot};
use tradewind_types::{DagId, DagRun, DagSpec, RunNo, VersionHash};

use crate::{dags, db::Db, resources, runs, task_instances};

/// Whether an instance of the DAG may look at the run before its own.
fn looks_back(spec: &DagSpec) -> bool {
    spec.tasks.iter().any(|task| task.depends_on_past || task.wait_for_downstream)
}

pub(crate) async fn load(db: &Db) -> Result<StoreSnapshot, StoreError> {
    let dags = dags::all(db).await?;
    let mut found: BTreeMap<RunNo, DagRun> = BTreeMap::new();
    let active = runs::not_over(db).await?;
    let is_active: BTreeSet<RunNo> = active.iter().map(|run| run.run_no).collect();
    found.extend(active.into_iter().map(|run| (run.run_no, run)));
    let mut task_instances = task_instances::of_active_runs(db).await?;

    let latest = runs::latest_scheduled(db).await?;
    let later = runs::finished_later(db).await?;
    let mut have: BTreeSet<(DagId, VersionHash)> =
        dags.iter().map(|(dag, _)| (dag.dag_id.clone(), dag.version.clone())).collect();
    let mut backward: BTreeSet<DagId> =
        dags.iter().filter(|(_, version)| looks_back(&version.spec)).map(|(dag, _)| dag.dag_id.clone()).collect();

    // Active runs may keep versions that look back although the current one does not.
    let mut versions = Vec::new();
    for run in found.values().chain(&latest).chain(&later) {
        if have.insert((run.dag_id.clone(), run.version.clone())) {
            let version =
                dags::dag_version(db, run.dag_id.as_str(), &run.version).await?.ok_or_else(|| missing_version(run))?;
            if is_active.contains(&run.run_no) && looks_back(&version.spec) {
                backward.insert(run.dag_id.clone());
            }
            versions.push(version);
        }
    }

    let mut with_instances: Vec<DagRun> = latest.iter().filter(|run| backward.contains(&run.dag_id)).cloned().collect();
    found.extend(latest.into_iter().map(|run| (run.run_no, run)));
    found.extend(later.into_iter().map(|run| (run.run_no, run)));
    for dag_id in &backward {
        if let Some(run) = runs::latest_finished(db, dag_id.as_str()).await? {
            if have.insert((run.dag_id.clone(), run.version.clone())) {
                let version =
                    dags::dag_version(db, dag_id.as_str(), &run.version).await?.ok_or_else(|| missing_version(&run))?;
                versions.push(version);
            }
            found.insert(run.run_no, run.clone());
            with_instances.push(run);
        }
    }
    let mut done = is_active;
    for run in with_instances {
        if done.insert(run.run_no) {
            task_instances.extend(task_instances::of_run(db, run.dag_id.as_str(), run.run_id.as_str()).await?);
        }
    }

    Ok(StoreSnapshot {
        dags,
        versions,
        runs: found.into_values().collect(),
        task_instances,
        pools: resources::pools(db).await?,
        next_run_no: runs::next_no(db).await?,
    })
}

fn missing_version(run: &DagRun) -> StoreError {
    StoreError::Broken(format!(
        "run {} of {} names version {}, which is not stored",
        run.run_id, run.dag_id, run.version
    ))
}
