//! Trigger timetables: a run at each tick (Airflow `timetables/trigger.py`).

use jiff::SignedDuration;
use tradewind_types::{RunImmediately, Timestamp};

use super::{Bounds, DagRunInfo, cron::Cron, delta::DeltaStep};

/// Something that ticks. `None` at the edge of time.
pub(crate) trait Ticks {
    /// The first tick after `at`.
    fn next(&self, at: Timestamp) -> Option<Timestamp>;
    /// The last tick before `at`.
    fn prev(&self, at: Timestamp) -> Option<Timestamp>;
    /// `at` if it is a tick, else the next.
    fn align_next(&self, at: Timestamp) -> Option<Timestamp>;
    /// `at` if it is a tick, else the one before.
    fn align_prev(&self, at: Timestamp) -> Option<Timestamp>;
}

impl Ticks for Cron {
    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        self.after(at)
    }

    fn prev(&self, at: Timestamp) -> Option<Timestamp> {
        self.before(at)
    }

    fn align_next(&self, at: Timestamp) -> Option<Timestamp> {
        let next = self.after(at)?;
        Some(if self.before(next) == Some(at) { at } else { next })
    }

    fn align_prev(&self, at: Timestamp) -> Option<Timestamp> {
        align_prev(self, at)
    }
}

pub(crate) fn align_prev(cron: &Cron, at: Timestamp) -> Option<Timestamp> {
    let prev = cron.before(at)?;
    Some(if cron.after(prev) == Some(at) { at } else { prev })
}

/// Any instant is a tick of a delta.
impl Ticks for DeltaStep {
    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        self.after(at)
    }

    fn prev(&self, at: Timestamp) -> Option<Timestamp> {
        self.before(at)
    }

    fn align_next(&self, at: Timestamp) -> Option<Timestamp> {
        Some(at)
    }

    fn align_prev(&self, at: Timestamp) -> Option<Timestamp> {
        Some(at)
    }
}

/// The next run of one or several tick sources.
pub(crate) fn next<T: Ticks>(
    sources: &[T],
    interval: DeltaStep,
    immediately: RunImmediately,
    last: Option<(Timestamp, Timestamp)>,
    bounds: &Bounds,
) -> Option<DagRunInfo> {
    let runs = sources.iter().filter_map(|source| {
        let tick = tick(source, immediately, last.map(|(_, end)| end), bounds)?;
        bounds.allows(tick).then_some(())?;
        Some(DagRunInfo::interval(interval.before(tick)?, tick))
    });
    // Airflow compares logical dates. Without catchup the latest one of the past counts, before any of the future.
    let rank = |run: &DagRunInfo| {
        let date = run.logical_date.as_microsecond();
        if !bounds.catchup && run.logical_date <= bounds.now { -date } else { date }
    };
    runs.min_by_key(rank)
}

fn tick<T: Ticks>(
    source: &T,
    immediately: RunImmediately,
    last_end: Option<Timestamp>,
    bounds: &Bounds,
) -> Option<Timestamp> {
    // With catchup the start date bounds only the first run: one that was moved later does not skip what is due.
    let follow = match (last_end, bounds.earliest) {
        // What does not move on would be created for ever.
        (Some(end), _) => source.next(end).filter(|&next| next > end)?,
        (None, Some(earliest)) => source.align_next(earliest)?,
        (None, None) => first_run(source, immediately, bounds.now)?,
    };
    if bounds.catchup {
        return Some(follow);
    }
    let start = match bounds.earliest {
        Some(earliest) => source.align_next(earliest)?,
        None => follow,
    };
    // There is no tick of the past while the first year of an expression with years is yet to come.
    let current = source.align_prev(bounds.now).unwrap_or(follow);
    Some(current.max(follow).max(start))
}

/// The first run of a DAG without start date: the past tick if it is near (or asked for), else the next one.
fn first_run<T: Ticks>(source: &T, immediately: RunImmediately, now: Timestamp) -> Option<Timestamp> {
    let next = source.align_next(now);
    let Some(past) = source.align_prev(now) else { return next };
    let Some(next) = next else { return Some(past).filter(|_| immediately == RunImmediately::Yes) };
    let since = now.duration_since(past);
    let near = match immediately {
        RunImmediately::Yes => return Some(past),
        RunImmediately::Within(micros) => SignedDuration::from_micros(micros),
        RunImmediately::Auto => (next.duration_since(past) / 10).max(SignedDuration::from_mins(5)),
    };
    Some(if since <= near { past } else { next })
}
