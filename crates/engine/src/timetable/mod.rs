//! Timetables as pure functions: when a DAG's next run is due and which data interval it has (semantics E6; Airflow
//! `timetables/`). Zones come from the bundled database, so that every scheduler computes the same.
//!
//! `tests/vectors` holds what Airflow's own classes answer; the engine's tests compare.

mod cron;
mod delta;
mod events;
mod fields;
mod interval;
mod partition;
mod pattern;
mod schedule;
mod trigger;
mod upcoming;

use tradewind_types::{Timestamp, Timetable};

pub use cron::{Cron, Dst, validate_cron, validate_zone};
pub use partition::Partition;
pub use schedule::Schedule;
pub use upcoming::Upcoming;

/// A scheduled run: when it is due and what it covers.
///
/// A run of a partitioned timetable ([`Timetable::is_partitioned`]) has neither a logical date nor a data interval in
/// Airflow; here they are all its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DagRunInfo {
    /// The instant that the run stands for.
    pub logical_date: Timestamp,
    /// Start of its data interval.
    pub interval_start: Timestamp,
    /// End of its data interval.
    pub interval_end: Timestamp,
    /// It does not start before.
    pub run_after: Timestamp,
}

impl DagRunInfo {
    /// A run after `[start, end]`.
    pub(crate) const fn interval(start: Timestamp, end: Timestamp) -> Self {
        Self { logical_date: start, interval_start: start, interval_end: end, run_after: end }
    }
}

/// What bounds the next run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) now: Timestamp,
    pub(crate) catchup: bool,
    pub(crate) earliest: Option<Timestamp>,
    pub(crate) latest: Option<Timestamp>,
}

impl Bounds {
    fn allows(&self, at: Timestamp) -> bool {
        self.latest.is_none_or(|latest| at <= latest)
    }
}

/// Checks a timetable.
///
/// # Errors
/// Says which cron field, zone or step is wrong and how to mend it.
pub fn validate(timetable: &Timetable) -> Result<(), String> {
    Schedule::compile(timetable).map(|_| ())
}

/// The next scheduled run of a timetable: `last` is the data interval of the last scheduled run, `earliest` and `latest`
/// are the DAG's dates. `None` when there is none: nothing scheduled, past the end, or no start date where one is needed.
///
/// # Errors
/// As [`validate`].
pub fn next_run(
    timetable: &Timetable,
    last: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
    catchup: bool,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
) -> Result<Option<DagRunInfo>, String> {
    Ok(Schedule::compile(timetable)?.next_run(last, now, catchup, earliest, latest))
}

/// The data interval of a run that is triggered by hand for `at`.
///
/// # Errors
/// As [`validate`].
pub fn manual_interval(timetable: &Timetable, at: Timestamp) -> Result<(Timestamp, Timestamp), String> {
    Ok(Schedule::compile(timetable)?.manual_interval(at))
}
