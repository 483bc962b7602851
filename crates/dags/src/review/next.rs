//! When a DAG runs next.

use tradewind_engine::timetable::Schedule;
use tradewind_guest::{CustomRuns, DagNotes};
use tradewind_types::{DagSpec, Timestamp, Timetable};

/// How many runs are looked ahead.
const AHEAD: usize = 5;

/// The next runs of a DAG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upcoming {
    /// These times; fewer than five where the schedule ends.
    Times(Vec<Timestamp>),
    /// Not by time, in words: by hand, by assets.
    Otherwise(&'static str),
    /// Its own timetable raised this.
    Unknown(String),
}

impl Upcoming {
    /// The times, if it runs by time.
    pub fn times(&self) -> &[Timestamp] {
        match self {
            Self::Times(times) => times,
            Self::Otherwise(_) | Self::Unknown(_) => &[],
        }
    }
}

/// The next five times after `now` at which a DAG becomes due, as if it had never run and without what catchup makes for
/// the past. What a custom timetable says is in the notes.
pub fn next_runs(spec: &DagSpec, notes: Option<&DagNotes>, now: Timestamp) -> Upcoming {
    match &spec.timetable {
        Timetable::None => Upcoming::Otherwise("by hand"),
        Timetable::Assets { .. } => Upcoming::Otherwise("when its assets are updated"),
        Timetable::Continuous => Upcoming::Otherwise("one run after the other"),
        Timetable::Custom { .. } => match notes.and_then(|notes| notes.custom_runs.clone()) {
            Some(CustomRuns { error: Some(error), .. }) => Upcoming::Unknown(error),
            Some(CustomRuns { times, error: None }) => Upcoming::Times(times),
            None => Upcoming::Otherwise("as its own timetable says"),
        },
        Timetable::AssetOrTime { timetable, .. } if matches!(**timetable, Timetable::Custom { .. }) => {
            Upcoming::Otherwise("as its own timetable says, and when its assets are updated")
        }
        Timetable::Other { .. } => Upcoming::Otherwise("by hand: its timetable is not supported"),
        timetable => {
            let Ok(schedule) = Schedule::compile(timetable) else {
                return Upcoming::Times(Vec::new());
            };
            let runs = schedule.upcoming(None, now, false, spec.start_date, spec.end_date).map(|run| run.run_after);
            // Without catchup the latest run of the past is still made; `@once` may be due already.
            let is_ahead = |at: &Timestamp| *at > now || matches!(timetable, Timetable::Once);
            Upcoming::Times(runs.take(AHEAD + 2).filter(is_ahead).take(AHEAD).collect())
        }
    }
}

/// How many runs catchup makes for the past as soon as the DAG is unpaused, counted up to `limit`.
pub(super) fn backlog(spec: &DagSpec, now: Timestamp, limit: usize) -> usize {
    match Schedule::compile(&spec.timetable) {
        Ok(schedule) if spec.timetable.is_periodic() && !matches!(spec.timetable, Timetable::Custom { .. }) => schedule
            .upcoming(None, now, true, spec.start_date, spec.end_date)
            .take_while(|run| run.run_after <= now)
            .take(limit)
            .count(),
        _ => 0,
    }
}
