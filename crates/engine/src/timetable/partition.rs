//! Partitions of runs (Airflow's `CronPartitionTimetable`).

use jiff::tz::TimeZone;
use tradewind_types::Timestamp;

use super::{cron::Cron, trigger::Ticks};

/// What a partitioned run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its date: the tick of the run, or one some ticks away.
    pub date: Timestamp,
    /// Its key: the date in the timetable's zone and format.
    pub key: String,
}

/// How the ticks of a cron name partitions.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    offset: i32,
    format: String,
    zone: TimeZone,
}

impl Partitions {
    /// Checks the format of the keys.
    pub(crate) fn new(cron: &Cron, offset: i32, format: &str) -> Result<Self, String> {
        // Ticks are counted one by one, at each run.
        const MOST: i32 = 10_000;
        if !(-MOST..=MOST).contains(&offset) {
            return Err(format!("the run_offset {offset} is not between -{MOST} and {MOST}"));
        }
        let partitions = Self { offset, format: format.to_owned(), zone: cron.zone().clone() };
        match partitions.key(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(partitions),
            None => Err(format!("the key_format \"{format}\" has a directive that is unknown; use those of strftime")),
        }
    }

    pub(crate) fn of(&self, cron: &Cron, run_after: Timestamp) -> Option<Partition> {
        let mut date = run_after;
        for _ in 0..self.offset.unsigned_abs() {
            date = if self.offset > 0 { cron.next(date)? } else { cron.prev(date)? };
        }
        Some(Partition { date, key: self.key(date)? })
    }

    fn key(&self, date: Timestamp) -> Option<String> {
        let date = date.to_zoned(self.zone.clone());
        jiff::fmt::strtime::BrokenDownTime::from(&date).to_string(&self.format).ok()
    }
}
