//! The next runs of a schedule.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::Serialize;
use tradewind_engine::{Engine, EngineOptions, check_spec, timetable::DagRunInfo};
use tradewind_types::{ApiError, DagVersion, RunId, RunType, Timestamp, Timetable};

use super::{Dag, snapshot};

/// A run that a schedule is going to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextRun {
    /// Its id.
    pub run_id: RunId,
    /// The instant that it stands for.
    pub logical_date: Timestamp,
    /// Start of its data interval.
    pub data_interval_start: Timestamp,
    /// End of its data interval.
    pub data_interval_end: Timestamp,
    /// It starts then.
    pub run_after: Timestamp,
    /// `run_after` in the schedule's zone, with weekday and offset.
    pub local_time: String,
    /// The schedule's zone.
    pub timezone: String,
    /// By how many seconds the zone's clocks were put forward (back, when negative) since the run before.
    pub clock_change: i32,
}

/// The next `count` runs of a DAG that is not paused. Without `from` the schedule goes on after its last run, as of `now`;
/// with it, as if the DAG had no runs yet and were switched on at that instant.
///
/// # Errors
/// The DAG has no schedule of its own, or one that only Python can evaluate; its spec is not sound.
pub fn next_runs(dag: &Dag, now: Timestamp, from: Option<Timestamp>, count: usize) -> Result<Vec<NextRun>, ApiError> {
    let dag_id = dag.version.spec.dag_id.clone();
    let mut dag = dag.clone();
    // Nothing may start while the future is looked at.
    dag.is_paused = true;
    if from.is_some() {
        dag.last = None;
        let mut version = (*dag.version).clone();
        version.spec.catchup = false;
        dag.version = version.into();
    }
    check(&dag.version)?;
    let (zone_name, zone) = zone_of(&dag.version)?;
    let at = from.unwrap_or(now);
    let (engine, _) = Engine::new(EngineOptions::default(), snapshot(at, &[dag], Vec::new()), at);
    // One more: the tick just before `from` may be made up for.
    let runs = engine.next_runs(&dag_id, count.saturating_add(usize::from(from.is_some())))?;
    let wanted = runs.into_iter().filter(|run| from.is_none_or(|from| run.run_after >= from)).take(count);
    let mut before = None;
    Ok(wanted.map(|info| next_run(info, &zone_name, &zone, &mut before)).collect())
}

fn next_run(info: DagRunInfo, zone_name: &str, zone: &TimeZone, before: &mut Option<i32>) -> NextRun {
    let local = info.run_after.to_zoned(zone.clone());
    let offset = local.offset().seconds();
    NextRun {
        run_id: run_id(RunType::Scheduled, info.run_after),
        logical_date: info.logical_date,
        data_interval_start: info.interval_start,
        data_interval_end: info.interval_end,
        run_after: info.run_after,
        local_time: local.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string(),
        timezone: zone_name.to_owned(),
        clock_change: offset - before.replace(offset).unwrap_or(offset),
    }
}

/// The id that the engine gives a run of this type, where nothing else has to tell it from others.
fn run_id(run_type: RunType, run_after: Timestamp) -> RunId {
    let format = if run_after.subsec_nanosecond() == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S.%6f" };
    RunId::from(format!("{run_type}__{}+00:00", run_after.strftime(format)))
}

/// Refuses what the engine could not schedule by itself.
fn check(version: &DagVersion) -> Result<(), ApiError> {
    let spec = &version.spec;
    check_spec(spec).map_err(|problems| {
        ApiError::invalid(format!("the DAG \"{}\" is not sound: {}", spec.dag_id, problems.join("; ")))
    })?;
    match &spec.timetable {
        Timetable::None => Err(ApiError::invalid(format!("the DAG \"{}\" has no schedule", spec.dag_id))),
        Timetable::Assets { .. } => Err(ApiError::invalid(format!(
            "the DAG \"{}\" runs when assets are updated, at no known times; `simulate day` follows its assets",
            spec.dag_id
        ))),
        Timetable::Custom { class, .. } | Timetable::Other { class, .. } => Err(ApiError::invalid(format!(
            "the timetable {class} of \"{}\" is Python, which is not evaluated here; `tradewind dags next-execution` \
             asks the scheduler",
            spec.dag_id
        ))),
        _ => Ok(()),
    }
}

/// The zone that the schedule's clock times are in.
fn zone_of(version: &DagVersion) -> Result<(String, TimeZone), ApiError> {
    fn named(timetable: &Timetable) -> Option<&String> {
        match timetable {
            Timetable::CronTrigger { timezone, .. }
            | Timetable::MultipleCronTrigger { timezone, .. }
            | Timetable::CronDataInterval { timezone, .. } => Some(timezone),
            Timetable::AssetOrTime { timetable, .. } => named(timetable),
            _ => None,
        }
    }
    let name = named(&version.spec.timetable).unwrap_or(&version.spec.timezone);
    let zone = TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|error| ApiError::invalid(format!("the zone \"{name}\" is not known: {error}")))?;
    Ok((name.clone(), zone))
}
