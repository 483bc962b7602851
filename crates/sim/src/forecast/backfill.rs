//! What a backfill would make: the engine makes it, on a copy that nobody keeps.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use tradewind_engine::{BackfillRequest, Effects, Engine, EngineOptions, Event, Reply};
use tradewind_types::{ApiError, DagRun, RunId, RunNo, RunState, Timestamp, Timetable};

use super::{Dag, snapshot};

/// What becomes of one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// A run is made.
    Create,
    /// The run that exists runs again.
    RunAgain,
    /// Nothing.
    Skip,
}

/// One date of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRun {
    /// Its place, from 1.
    pub ordinal: u32,
    /// The date.
    pub logical_date: Timestamp,
    /// What is done about it.
    pub planned: Planned,
    /// Why nothing is done.
    pub why: Option<String>,
    /// The run.
    pub run_id: Option<RunId>,
    /// Start of its data interval.
    pub data_interval_start: Option<Timestamp>,
    /// End of its data interval.
    pub data_interval_end: Option<Timestamp>,
}

/// What a backfill would do about each date. `existing` are the runs that the DAG has in the range.
///
/// # Errors
/// The backfill would be refused, for the same reasons as in earnest.
pub fn backfill(
    dag: &Dag,
    existing: &[DagRun],
    request: BackfillRequest,
    now: Timestamp,
) -> Result<Vec<PlannedRun>, ApiError> {
    if let Timetable::Custom { class, .. } = &dag.version.spec.timetable {
        return Err(ApiError::invalid(format!(
            "the timetable {class} of \"{}\" is Python, which is not evaluated here; `tradewind backfill create \
             --dry-run` asks the scheduler",
            dag.version.spec.dag_id
        )));
    }
    let mut dag = dag.clone();
    // Nothing of it may start, or it would change under our hands.
    dag.is_paused = true;
    dag.last = None;
    let version = Arc::clone(&dag.version);
    let mut rows = snapshot(now, std::slice::from_ref(&dag), Vec::new());
    let (over, open): (Vec<&DagRun>, Vec<&DagRun>) = existing.iter().partition(|run| run.state.is_finished());
    let of_version = |run: &DagRun| DagRun { version: version.hash.clone(), ..run.clone() };
    // A run that goes on waits here, so that it stays open.
    rows.runs.extend(open.into_iter().map(|run| DagRun { state: RunState::Queued, backfill: None, ..of_version(run) }));
    rows.next_run_no = existing.iter().map(|run| run.run_no.0 + 1).max().unwrap_or(1);
    let (mut engine, _) = Engine::new(EngineOptions::default(), rows, now);
    for run in over {
        let (run, version) = (DagRun { backfill: None, ..of_version(run) }, Arc::clone(&version));
        let event = Event::LoadRun { run, task_instances: Vec::new(), version };
        engine.step(event, now, &mut Effects::default());
    }
    let mut effects = Effects::default();
    let request = BackfillRequest { dry_run: false, ..request };
    let items = match engine.step(Event::CreateBackfill(request), now, &mut effects) {
        Reply::Backfill(_, items) => items,
        Reply::Refused(error) => return Err(error),
        other => return Err(ApiError::internal(format!("a backfill was answered with {other:?}"))),
    };
    let known: HashMap<RunNo, &DagRun> = existing.iter().map(|run| (run.run_no, run)).collect();
    let dates: HashMap<Option<Timestamp>, &DagRun> = existing.iter().map(|run| (run.logical_date, run)).collect();
    let planned = items.into_iter().map(|item| {
        let run = match item.run_no {
            Some(no) => effects.rows.runs.get(&no).map(|changed| &changed.row),
            None => dates.get(&Some(item.logical_date)).copied(),
        };
        let planned = match item.run_no {
            None => Planned::Skip,
            Some(no) if known.contains_key(&no) => Planned::RunAgain,
            Some(_) => Planned::Create,
        };
        PlannedRun {
            ordinal: item.ordinal,
            logical_date: item.logical_date,
            planned,
            why: item.skipped,
            run_id: run.map(|run| run.run_id.clone()),
            data_interval_start: run.and_then(|run| run.data_interval_start),
            data_interval_end: run.and_then(|run| run.data_interval_end),
        }
    });
    Ok(planned.collect())
}
