//! When runs are due: the serialized timetable of a DAG (semantics E6). The arithmetic is the engine's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A step in time, as `datetime.timedelta` or dateutil's `relativedelta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Calendar months (years count twelve).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub months: i32,
    /// Microseconds, for everything with a fixed length (a day is 24 h here, as in `timedelta`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: i64,
    /// What a `relativedelta` sets instead of adding to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replace: Replace,
}

/// The singular fields of a `relativedelta`: they replace a part of the date, before anything is added; the weekday comes
/// last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The year.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub year: Option<i16>,
    /// The month, 1 to 12.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub month: Option<i8>,
    /// The day of the month; the last one where the month is shorter.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub day: Option<i8>,
    /// The hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hour: Option<i8>,
    /// The minute.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub minute: Option<i8>,
    /// The second.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub second: Option<i8>,
    /// The microsecond.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub microsecond: Option<i32>,
    /// Days to add after February of a leap year.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leapdays: i32,
    /// A weekday (0 is Monday) and which one: 1 is the date itself or the next such day, -1 itself or the last such day.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weekday: Option<(i8, i8)>,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Delta {
    /// A fixed number of seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self::calendar(0, seconds * 1_000_000)
    }

    /// Calendar months and then a fixed number of microseconds.
    pub const fn calendar(months: i32, micros: i64) -> Self {
        let replace = Replace {
            year: None,
            month: None,
            day: None,
            hour: None,
            minute: None,
            second: None,
            microsecond: None,
            leapdays: 0,
            weekday: None,
        };
        Self { months, micros, replace }
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
        /// 5 fields, 6 (a second comes last) or 7 (then a year), or a preset.
        cron: String,
        /// IANA zone, e.g. `Europe/London`, or a fixed offset such as `+05:30`.
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
        /// As in [`Timetable::CronTrigger`].
        crons: Vec<String>,
        /// As in [`Timetable::CronTrigger`].
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
        /// As in [`Timetable::CronTrigger`].
        cron: String,
        /// As in [`Timetable::CronTrigger`].
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
    /// `CronPartitionTimetable`: a run at each tick, for the partition of that tick or of one some ticks away. Its runs
    /// have a partition key instead of a logical date and a data interval.
    CronPartition {
        /// As in [`Timetable::CronTrigger`].
        cron: String,
        /// As in [`Timetable::CronTrigger`].
        timezone: String,
        /// How many ticks the partition lies after the run; before it if negative.
        #[serde(default)]
        run_offset: i32,
        /// See [`RunImmediately`].
        #[serde(default)]
        run_immediately: RunImmediately,
        /// How the partition's date becomes its key, as `strftime` has it.
        key_format: String,
    },
    /// `EventsTimetable`: runs at listed instants.
    Events {
        /// In the order in which they are looked through; ascending, unless a DAG said so wrongly.
        dates: Vec<Timestamp>,
        /// A run that is triggered by hand stands for the last event before it, instead of for its own instant.
        #[serde(default)]
        restrict_to_events: bool,
    },
    /// Runs when assets were updated (`AssetTriggeredTimetable`).
    Assets {
        /// When the updates suffice.
        condition: crate::AssetCondition,
    },
    /// Runs by time, and when assets were updated (`AssetOrTimeSchedule`).
    AssetOrTime {
        /// When by time.
        timetable: Box<Timetable>,
        /// When the updates suffice.
        condition: crate::AssetCondition,
    },
    /// A custom Python timetable: a guest is asked for each next run.
    Custom {
        /// Its class, e.g. `plugins.workday.AfterWorkdayTimetable`.
        class: String,
        /// Its serialized form, as JSON text.
        data: String,
        /// Whether it says that it is periodic; backfills need that.
        periodic: bool,
    },
    /// A timetable that this version does not schedule by itself, kept in its serialized form; runs can be triggered by
    /// hand.
    Other {
        /// Its class, e.g. `airflow.timetables.assets.AssetTriggeredTimetable`.
        class: String,
        /// Its serialized form, as JSON text.
        data: String,
    },
}

impl Timetable {
    /// Whether the schedule creates runs in a rhythm (Airflow's `timetable.periodic`).
    pub fn is_periodic(&self) -> bool {
        match self {
            Self::Custom { periodic, .. } => *periodic,
            Self::AssetOrTime { timetable, .. } => timetable.is_periodic(),
            other => {
                !matches!(other, Self::None | Self::Once | Self::Continuous | Self::Assets { .. } | Self::Other { .. })
            }
        }
    }

    /// Whether its scheduled runs have a partition key, and neither a logical date nor a data interval.
    pub const fn is_partitioned(&self) -> bool {
        matches!(self, Self::CronPartition { .. })
    }

    /// When asset updates suffice, on an asset schedule.
    pub const fn asset_condition(&self) -> Option<&crate::AssetCondition> {
        match self {
            Self::Assets { condition } | Self::AssetOrTime { condition, .. } => Some(condition),
            _ => None,
        }
    }
}
