//! What is going to happen: the production engine under a virtual clock, with the DAGs and pools of an installation and how
//! long its tasks took so far. Nothing is read or written; whoever asks brings everything in [`Setup`].
//!
//! - [`next_runs`]: the next runs of a DAG's schedule.
//! - [`backfill`]: the runs that a backfill would make.
//! - [`forecast`]: the next hours: runs, waits, the use of pools.
//!
//! Every task is taken to succeed at its first try, after the time it usually takes. Custom timetables are Python, which
//! nobody evaluates here: such DAGs make no scheduled runs.

mod backfill;
mod day;
mod history;
mod schedule;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tradewind_engine::Snapshot;
use tradewind_types::{DagRow, DagRun, DagVersion, Pool, QueueName, RunState, Timestamp, WorkerName};

pub use backfill::{Planned, PlannedRun, backfill};
pub use day::forecast;
pub use history::History;
pub use schedule::{NextRun, next_runs};
pub use summary::{DagSummary, Forecast, PoolSummary, Waits};

/// A DAG of the installation.
#[derive(Clone, Debug)]
pub struct Dag {
    /// Its current version.
    pub version: Arc<DagVersion>,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Its last scheduled run, in whatever state: the schedule goes on from there.
    pub last: Option<DagRun>,
}

/// A worker of the installation.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its name.
    pub name: WorkerName,
    /// Its queues.
    pub queues: Vec<QueueName>,
    /// Its slots.
    pub slots: u32,
}

/// What a forecast starts from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// When it starts. Nothing runs then; what runs at this moment in reality is left out.
    pub at: Timestamp,
    /// The DAGs.
    pub dags: Vec<Dag>,
    /// The pools.
    pub pools: Vec<Pool>,
    /// Task instances that may execute at once in all.
    pub parallelism: u32,
    /// The workers; without any, whatever is queued starts at once.
    pub workers: Vec<Worker>,
    /// How long tasks take.
    pub history: History,
}

/// The rows of an installation in which these DAGs stand and nothing runs.
fn snapshot(at: Timestamp, dags: &[Dag], pools: Vec<Pool>) -> Snapshot {
    let row = |dag: &Dag| DagRow {
        dag_id: dag.version.spec.dag_id.clone(),
        version: dag.version.hash.clone(),
        version_number: dag.version.number,
        is_paused: dag.is_paused,
        is_stale: false,
        source: dag.version.spec.source.clone(),
        parsed_at: at,
        failed_runs: 0,
        pending_assets: Vec::new(),
        runtimes: Vec::new(),
        last_scheduled: dag.last.as_ref().and_then(|run| run.data_interval_start.zip(run.data_interval_end)),
        schedule_error: None,
    };
    // However the last run stands, here it is over.
    let last = |dag: &Dag| {
        let run = dag.last.clone()?;
        Some(DagRun { state: RunState::Success, version: dag.version.hash.clone(), ..run })
    };
    let runs: Vec<DagRun> = dags.iter().filter_map(last).collect();
    Snapshot {
        dags: dags.iter().map(|dag| (row(dag), Arc::clone(&dag.version))).collect(),
        next_run_no: runs.iter().map(|run| run.run_no.0 + 1).max().unwrap_or(1),
        runs,
        pools,
        assets: dags.iter().flat_map(|dag| dag.version.spec.assets.clone()).collect(),
        next_event_no: 1,
        next_backfill_no: 1,
        ..Snapshot::default()
    }
}
