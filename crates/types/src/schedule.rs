//! When runs are due: the serialized timetable of a DAG (semantics E6). The arithmetic is the engine's.

use serde::{Deserialize, Serialize};

/// A step in time: either fixed seconds or calendar units, as `datetime.timedelta` and `relativedelta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Calendar months (years count twelve).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub months: i32,
    /// Microseconds, for everything with a fixed length (a day is 24 h here, as in `timedelta`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: i64,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Delta {
    /// A fixed number of seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self { months: 0, micros: seconds * 1_000_000 }
    }
}

/// What a cron timetable without start date does about the tick before "now" (`run_immediately` of
/// `CronTriggerTimetable`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunImmediately {
    /// Airflow's `None` and `False` alike: within 10 % of the gap between ticks, at least 5 minutes.
    #[default]
    Auto,
    /// `True`: the past tick always.
    Yes,
    /// A `timedelta`: the past tick if it is at most this many microseconds ago.
    Within(i64),
}

/// A DAG's schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Timetable {
    /// Only manual runs (`schedule=None`).
    #[default]
    None,
    /// One run at the earliest start (`@once`).
    Once,
    /// A run after each run (`@continuous`).
    Continuous,
    /// `CronTriggerTimetable`: what a plain cron string means in Airflow 3.
    CronTrigger {
        /// 5 or 6 fields (seconds last), presets already expanded.
        cron: String,
        /// IANA zone, e.g. `Europe/London`.
        timezone: String,
        /// Length of the data interval before the tick; zero by default.
        #[serde(default)]
        interval: Delta,
        /// See [`RunImmediately`].
        #[serde(default)]
        run_immediately: RunImmediately,
    },
    /// Several cron expressions; the earliest tick counts (`MultipleCronTriggerTimetable`).
    MultipleCronTrigger {
        /// 5 or 6 fields each.
        crons: Vec<String>,
        /// IANA zone.
        timezone: String,
        /// Length of the data interval before the tick.
        #[serde(default)]
        interval: Delta,
        /// See [`RunImmediately`].
        #[serde(default)]
        run_immediately: RunImmediately,
    },
    /// `CronDataIntervalTimetable`: runs after the interval between two ticks.
    CronDataInterval {
        /// 5 or 6 fields.
        cron: String,
        /// IANA zone.
        timezone: String,
    },
    /// `DeltaTriggerTimetable`: what a timedelta means in Airflow 3.
    DeltaTrigger {
        /// The step between runs.
        delta: Delta,
        /// Length of the data interval before the tick.
        #[serde(default)]
        interval: Delta,
    },
    /// `DeltaDataIntervalTimetable`: runs after each interval of this length.
    DeltaDataInterval {
        /// The step between runs.
        delta: Delta,
    },
    /// A timetable that this version does not schedule by itself; runs can be triggered by hand. Assets, events and
    /// custom timetables keep their serialized form here until the engine learns them.
    Other {
        /// Its class, e.g. `airflow.timetables.assets.AssetTriggeredTimetable`.
        class: String,
        /// Its serialized form, as JSON text.
        data: String,
    },
}

impl Timetable {
    /// Whether the schedule creates runs in a rhythm (Airflow's `timetable.periodic`).
    pub const fn is_periodic(&self) -> bool {
        !matches!(self, Self::None | Self::Once | Self::Continuous | Self::Other { .. })
    }
}
