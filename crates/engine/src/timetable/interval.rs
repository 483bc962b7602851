//! Data interval timetables: a run after each interval between two ticks (Airflow `timetables/interval.py`).

use tradewind_types::Timestamp;

use super::{Bounds, DagRunInfo, cron::Cron, delta::DeltaStep, trigger::Ticks};

/// An hour of ticks each second.
const MOST_STEPS: usize = 3_600;

/// Where, without catchup, the schedule may begin: the latest interval that is complete.
pub(crate) trait Latest: Ticks {
    /// Start of the latest complete interval, not before `earliest`.
    fn skip_to_latest(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp>;
}

impl Latest for Cron {
    fn skip_to_latest(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp> {
        let start = match self.prev(now) {
            // The first year of an expression with years is yet to come.
            None => self.next(now)?,
            Some(last_start) if self.next(last_start)? > now => self.prev(last_start).unwrap_or(last_start),
            // Its interval is over: it ends now. On a night of changing clocks it may also have ended before; Airflow stops
            // with an error then, until time has moved on.
            Some(last_start) => last_start,
        };
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
            // The schedule may have changed: an interval never begins where one began already, or before. One step is
            // enough as a rule. Where the clocks were set back it may be some more, and Airflow stops with an error.
            for _ in 0..MOST_STEPS {
                if start > last_start {
                    break;
                }
                start = source.next(start)?;
            }
            if start <= last_start {
                return None;
            }
            start
        }
    };
    if !bounds.allows(start) {
        return None;
    }
    Some(DagRunInfo::interval(start, source.next(start)?))
}
