//! Data interval timetables: a run after each interval between two ticks (Airflow `timetables/interval.py`).

use tradewind_types::Timestamp;

use super::{Bounds, DagRunInfo, cron::Cron, delta::DeltaStep, trigger::Ticks};

/// Where, without catchup, the schedule may begin: the latest interval that is complete.
pub(crate) trait Latest: Ticks {
    /// Start of the latest complete interval, not before `earliest`.
    fn skip_to_latest(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp>;
}

impl Latest for Cron {
    fn skip_to_latest(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp> {
        let last_start = self.prev(now)?;
        let next_start = self.next(last_start)?;
        let start = if next_start == now { last_start } else { self.prev(last_start)? };
        match earliest {
            Some(earliest) => Some(start.max(self.align_next(earliest)?)),
            None => Some(start),
        }
    }
}

impl Latest for DeltaStep {
    fn skip_to_latest(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp> {
        let start = self.latest_complete(now, earliest)?;
        Some(earliest.map_or(start, |earliest| start.max(earliest)))
    }
}

pub(crate) fn next<T: Latest>(source: &T, last: Option<(Timestamp, Timestamp)>, bounds: &Bounds) -> Option<DagRunInfo> {
    let earliest = if bounds.catchup {
        match bounds.earliest {
            Some(earliest) => Some(source.align_next(earliest)?),
            None => None,
        }
    } else {
        Some(source.skip_to_latest(bounds.now, bounds.earliest)?)
    };
    let start = match last {
        None => earliest?,
        Some((last_start, last_end)) => {
            let follow = source.align_prev(last_end)?;
            let mut start = earliest.map_or(follow, |earliest| follow.max(earliest));
            // The schedule may have changed: an interval never begins where one began already, or before.
            while start <= last_start {
                start = source.next(start)?;
            }
            start
        }
    };
    if !bounds.allows(start) {
        return None;
    }
    Some(DagRunInfo::interval(start, source.next(start)?))
}
