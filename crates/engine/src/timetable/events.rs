//! Runs at listed instants (Airflow `timetables/events.py`).

use tradewind_types::Timestamp;

use super::{Bounds, DagRunInfo};

/// The first event that is due after the last one; without catchup none of the past.
pub(crate) fn next(dates: &[Timestamp], last: Option<(Timestamp, Timestamp)>, bounds: &Bounds) -> Option<DagRunInfo> {
    let earliest = match bounds.earliest {
        earliest if bounds.catchup => earliest,
        Some(earliest) => Some(earliest.max(bounds.now)),
        None => Some(bounds.now),
    };
    let follows =
        |&date: &Timestamp| earliest.is_none_or(|earliest| date >= earliest) && last.is_none_or(|(_, end)| date > end);
    let date = dates.iter().copied().find(follows)?;
    bounds.allows(date).then(|| DagRunInfo::interval(date, date))
}

/// What a run by hand stands for: itself, or the last event before it (the first one where there is none).
pub(crate) fn manual(dates: &[Timestamp], restricted: bool, at: Timestamp) -> Timestamp {
    match dates.first() {
        Some(&first) if restricted => {
            if at < first {
                first
            } else {
                dates.iter().rev().copied().find(|&date| date <= at).unwrap_or(first)
            }
        }
        _ => at,
    }
}
