//! Timetables as pure functions: when a DAG's next run is due and which data interval it has (semantics E6; Airflow
//! `timetables/`). Zones come from the bundled database, so that every scheduler computes the same.

mod cron;
mod delta;
mod interval;
mod trigger;

use tradewind_types::{RunImmediately, Timestamp, Timetable};

pub use cron::{Cron, validate_cron, validate_zone};

use delta::DeltaStep;

/// A scheduled run: when it is due and what it covers.
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

/// A timetable with its cron expressions parsed. One a version of a DAG, so its size does not matter.
#[expect(clippy::large_enum_variant, reason = "one a DAG version")]
#[derive(Clone, Debug, Default)]
pub(crate) enum Schedule {
    /// No scheduled runs: `schedule=None`, and timetables that the engine does not know yet.
    #[default]
    None,
    Once,
    Continuous,
    CronTrigger {
        crons: Vec<Cron>,
        interval: DeltaStep,
        immediately: RunImmediately,
    },
    CronInterval(Cron),
    DeltaTrigger {
        step: DeltaStep,
        interval: DeltaStep,
    },
    DeltaInterval(DeltaStep),
}

impl Schedule {
    /// Parses a timetable.
    ///
    /// # Errors
    /// Says which cron field, zone or step is wrong.
    pub(crate) fn compile(timetable: &Timetable) -> Result<Self, String> {
        Ok(match timetable {
            Timetable::None | Timetable::Other { .. } => Self::None,
            Timetable::Once => Self::Once,
            Timetable::Continuous => Self::Continuous,
            Timetable::CronTrigger { cron, timezone, interval, run_immediately } => Self::CronTrigger {
                crons: vec![Cron::parse(cron, timezone)?],
                interval: DeltaStep::span(*interval)?,
                immediately: *run_immediately,
            },
            Timetable::MultipleCronTrigger { crons, timezone, interval, run_immediately } => {
                if crons.is_empty() {
                    return Err("a multiple cron timetable needs at least one cron".to_owned());
                }
                Self::CronTrigger {
                    crons: crons.iter().map(|cron| Cron::parse(cron, timezone)).collect::<Result<_, _>>()?,
                    interval: DeltaStep::span(*interval)?,
                    immediately: *run_immediately,
                }
            }
            Timetable::CronDataInterval { cron, timezone } => Self::CronInterval(Cron::parse(cron, timezone)?),
            Timetable::DeltaTrigger { delta, interval } => {
                Self::DeltaTrigger { step: DeltaStep::step(*delta)?, interval: DeltaStep::span(*interval)? }
            }
            Timetable::DeltaDataInterval { delta } => Self::DeltaInterval(DeltaStep::step(*delta)?),
        })
    }

    pub(crate) const fn is_continuous(&self) -> bool {
        matches!(self, Self::Continuous)
    }

    /// The run after the last scheduled one, whose data interval is `last`.
    pub(crate) fn next_run(
        &self,
        last: Option<(Timestamp, Timestamp)>,
        now: Timestamp,
        catchup: bool,
        earliest: Option<Timestamp>,
        latest: Option<Timestamp>,
    ) -> Option<DagRunInfo> {
        let bounds = Bounds { now, catchup, earliest, latest };
        match self {
            Self::None => None,
            Self::Once => {
                let at = earliest.unwrap_or(now);
                (last.is_none() && bounds.allows(at)).then(|| DagRunInfo::interval(at, at))
            }
            Self::Continuous => continuous(last, &bounds),
            Self::CronTrigger { crons, interval, immediately } => {
                trigger::next(crons, *interval, *immediately, last, &bounds)
            }
            Self::DeltaTrigger { step, interval } => {
                trigger::next(std::slice::from_ref(step), *interval, RunImmediately::Auto, last, &bounds)
            }
            Self::CronInterval(cron) => interval::next(cron, last, &bounds),
            Self::DeltaInterval(step) => interval::next(step, last, &bounds),
        }
    }

    /// The data interval of a run that is triggered by hand for `at`.
    pub(crate) fn manual_interval(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Self::None | Self::Once | Self::Continuous => (at, at),
            Self::CronTrigger { interval, .. } | Self::DeltaTrigger { interval, .. } => {
                (interval.before(at).unwrap_or(at), at)
            }
            Self::CronInterval(cron) => {
                let end = trigger::align_prev(cron, at).unwrap_or(at);
                (trigger::Ticks::prev(cron, end).unwrap_or(end), end)
            }
            Self::DeltaInterval(step) => (step.before(at).unwrap_or(at), at),
        }
    }
}

/// A run after each run; needs a start date.
fn continuous(last: Option<(Timestamp, Timestamp)>, bounds: &Bounds) -> Option<DagRunInfo> {
    let earliest = bounds.earliest?;
    let (start, end) = match last {
        None => (earliest, earliest.max(bounds.now)),
        Some((start, end)) if end > bounds.now => {
            let length = end.duration_since(start);
            (earliest, earliest.checked_add(length).ok()?)
        }
        Some((_, end)) => (end, bounds.now),
    };
    bounds.allows(end).then(|| DagRunInfo::interval(start, end))
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
