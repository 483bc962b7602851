//! A timetable with its cron expressions parsed.

use tradewind_types::{RunImmediately, Timestamp, Timetable};

use super::{
    Bounds, Cron, DagRunInfo, Dst, Upcoming,
    delta::DeltaStep,
    events, interval,
    partition::{Partition, Partitions},
    trigger,
};

/// A timetable, checked and ready: one a version of a DAG.
#[derive(Clone, Debug, Default)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    /// No runs by time: `schedule=None`, assets, and timetables that are not the engine's.
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
    CronPartition {
        cron: Cron,
        immediately: RunImmediately,
        partitions: Partitions,
    },
    DeltaTrigger {
        step: DeltaStep,
        interval: DeltaStep,
    },
    DeltaInterval(DeltaStep),
    Events {
        dates: Vec<Timestamp>,
        restricted: bool,
    },
}

impl Schedule {
    /// Parses a timetable.
    ///
    /// # Errors
    /// Says which cron field, zone or step is wrong.
    pub fn compile(timetable: &Timetable) -> Result<Self, String> {
        Self::compile_with(timetable, Dst::Airflow)
    }

    /// Parses a timetable, whose cron expressions meet changes of the clocks as `dst` says.
    ///
    /// # Errors
    /// As [`Schedule::compile`].
    pub fn compile_with(timetable: &Timetable, dst: Dst) -> Result<Self, String> {
        let parse = |cron: &str, zone: &str| Cron::parse(cron, zone).map(|cron| cron.with_dst(dst));
        Ok(Self(match timetable {
            Timetable::None | Timetable::Other { .. } | Timetable::Assets { .. } | Timetable::Custom { .. } => {
                Kind::None
            }
            Timetable::AssetOrTime { timetable, .. } => return Self::compile_with(timetable, dst),
            Timetable::Once => Kind::Once,
            Timetable::Continuous => Kind::Continuous,
            Timetable::CronTrigger { cron, timezone, interval, run_immediately } => Kind::CronTrigger {
                crons: vec![parse(cron, timezone)?],
                interval: DeltaStep::span(*interval)?,
                immediately: *run_immediately,
            },
            Timetable::MultipleCronTrigger { crons, timezone, interval, run_immediately } => {
                if crons.is_empty() {
                    return Err("a multiple cron timetable needs at least one cron".to_owned());
                }
                Kind::CronTrigger {
                    crons: crons.iter().map(|cron| parse(cron, timezone)).collect::<Result<_, _>>()?,
                    interval: DeltaStep::span(*interval)?,
                    immediately: *run_immediately,
                }
            }
            Timetable::CronDataInterval { cron, timezone } => Kind::CronInterval(parse(cron, timezone)?),
            Timetable::CronPartition { cron, timezone, run_offset, run_immediately, key_format } => {
                let cron = parse(cron, timezone)?;
                let partitions = Partitions::new(&cron, *run_offset, key_format)?;
                Kind::CronPartition { cron, immediately: *run_immediately, partitions }
            }
            Timetable::DeltaTrigger { delta, interval } => {
                Kind::DeltaTrigger { step: DeltaStep::step(*delta)?, interval: DeltaStep::span(*interval)? }
            }
            Timetable::DeltaDataInterval { delta } => Kind::DeltaInterval(DeltaStep::step(*delta)?),
            Timetable::Events { dates, restrict_to_events } => {
                Kind::Events { dates: dates.clone(), restricted: *restrict_to_events }
            }
        }))
    }

    pub(crate) const fn is_continuous(&self) -> bool {
        matches!(self.0, Kind::Continuous)
    }

    /// The run after the last scheduled one, whose data interval is `last`.
    pub fn next_run(
        &self,
        last: Option<(Timestamp, Timestamp)>,
        now: Timestamp,
        catchup: bool,
        earliest: Option<Timestamp>,
        latest: Option<Timestamp>,
    ) -> Option<DagRunInfo> {
        let bounds = Bounds { now, catchup, earliest, latest };
        match &self.0 {
            Kind::None => None,
            Kind::Once => {
                let at = earliest.unwrap_or(now);
                (last.is_none() && bounds.allows(at)).then(|| DagRunInfo::interval(at, at))
            }
            Kind::Continuous => continuous(last, &bounds),
            Kind::CronTrigger { crons, interval, immediately } => {
                trigger::next(crons, *interval, *immediately, last, &bounds)
            }
            Kind::CronPartition { cron, immediately, .. } => {
                trigger::next(std::slice::from_ref(cron), DeltaStep::ZERO, *immediately, last, &bounds)
            }
            Kind::DeltaTrigger { step, interval } => {
                trigger::next(std::slice::from_ref(step), *interval, RunImmediately::Auto, last, &bounds)
            }
            Kind::CronInterval(cron) => interval::next(cron, last, &bounds),
            Kind::DeltaInterval(step) => interval::next(step, last, &bounds),
            Kind::Events { dates, .. } => events::next(dates, last, &bounds),
        }
    }

    /// The scheduled runs from `now` on, as [`Schedule::next_run`] gives them one after the other. Endless as a rule: take as
    /// many as are needed.
    pub const fn upcoming(
        &self,
        last: Option<(Timestamp, Timestamp)>,
        now: Timestamp,
        catchup: bool,
        earliest: Option<Timestamp>,
        latest: Option<Timestamp>,
    ) -> Upcoming<'_> {
        Upcoming { schedule: self, last, now, catchup, earliest, latest, over: false }
    }

    /// The data interval of a run that is triggered by hand for `at`.
    pub fn manual_interval(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        match &self.0 {
            Kind::None | Kind::Once | Kind::Continuous | Kind::CronPartition { .. } => (at, at),
            Kind::CronTrigger { interval, .. } | Kind::DeltaTrigger { interval, .. } => {
                (interval.before(at).unwrap_or(at), at)
            }
            Kind::CronInterval(cron) => {
                let end = trigger::align_prev(cron, at).unwrap_or(at);
                (trigger::Ticks::prev(cron, end).unwrap_or(end), end)
            }
            Kind::DeltaInterval(step) => (step.before(at).unwrap_or(at), at),
            Kind::Events { dates, restricted } => {
                let at = events::manual(dates, *restricted, at);
                (at, at)
            }
        }
    }

    /// The partition of a scheduled run, on a partitioned timetable.
    pub fn partition(&self, run_after: Timestamp) -> Option<Partition> {
        match &self.0 {
            Kind::CronPartition { cron, partitions, .. } => partitions.of(cron, run_after),
            _ => None,
        }
    }
}

/// A run after each run.
fn continuous(last: Option<(Timestamp, Timestamp)>, bounds: &Bounds) -> Option<DagRunInfo> {
    let earliest = bounds.earliest.unwrap_or(bounds.now);
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
