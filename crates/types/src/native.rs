//! The options of the native operators: what runs on a worker without Python. Strings marked *templated* may hold Jinja,
//! rendered on the worker with the task's context.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A native operator with its options. The `kind` names it in YAML DAGs and in listings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NativeOperator {
    /// Does nothing on a worker, or returns a value: the smallest native task.
    Noop(NoopOptions),
    /// Runs a shell command.
    Bash(BashOptions),
    /// Sends an HTTP request.
    Http(HttpOptions),
    /// Runs SQL over a connection.
    Sql(SqlOptions),
    /// Waits for a file.
    FileSensor(FileSensorOptions),
    /// Waits until a time of the day.
    TimeSensor(TimeSensorOptions),
    /// Waits for a span after the data interval ended.
    TimeDeltaSensor(TimeDeltaSensorOptions),
    /// Waits until an instant.
    DateTimeSensor(DateTimeSensorOptions),
}

impl NativeOperator {
    /// The kind as YAML DAGs write it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Noop(_) => "noop",
            Self::Bash(_) => "bash",
            Self::Http(_) => "http",
            Self::Sql(_) => "sql",
            Self::FileSensor(_) => "file_sensor",
            Self::TimeSensor(_) => "time_sensor",
            Self::TimeDeltaSensor(_) => "time_delta_sensor",
            Self::DateTimeSensor(_) => "date_time_sensor",
        }
    }
}

/// Options of `noop`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoopOptions {
    /// Pushed as the XCom `return_value`; strings in it are templated.
    pub value: Option<serde_json::Value>,
}

/// Options of `bash`, as Airflow's `BashOperator`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BashOptions {
    /// The command line, given to `bash -c`; templated.
    pub command: String,
    /// Environment of the command; values are templated.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether the worker's task environment is kept below `env`; without it the command sees `env` alone.
    #[serde(default = "yes")]
    pub append_env: bool,
    /// Working folder; a fresh temporary one when absent; templated.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Exit codes that skip the task instead of failing it.
    #[serde(default = "skip_99")]
    pub skip_on_exit_code: Vec<i32>,
}

fn yes() -> bool {
    true
}

fn skip_99() -> Vec<i32> {
    vec![99]
}

/// Options of `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpOptions {
    /// The address, absolute or, with `connection`, a path below the connection's host; templated.
    pub url: String,
    /// A connection of type `http` for host, login, password and extra headers.
    #[serde(default)]
    pub connection: Option<String>,
    /// `GET` by default.
    #[serde(default = "get")]
    pub method: String,
    /// Headers; values are templated.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as text; templated. Not together with `json`.
    #[serde(default)]
    pub body: Option<String>,
    /// The body as JSON; strings in it are templated.
    #[serde(default)]
    pub json: Option<serde_json::Value>,
    /// Seconds for the whole request; 60 by default.
    #[serde(default = "sixty")]
    pub timeout: f64,
    /// Statuses that count as success, e.g. `[200, 404]`; every 2xx when empty.
    #[serde(default)]
    pub expect: Vec<u16>,
}

fn get() -> String {
    "GET".to_owned()
}

fn sixty() -> f64 {
    60.0
}

/// Options of `sql`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlOptions {
    /// A connection of type `postgres` or `sqlite`.
    pub connection: String,
    /// One or more statements; templated. They run in one transaction.
    pub sql: String,
    /// Values bound to `$1`, `$2`... of a single statement; strings are templated.
    #[serde(default)]
    pub parameters: Vec<serde_json::Value>,
    /// At most this many rows of the last statement become the XCom `return_value`; 1,000 by default.
    #[serde(default = "thousand")]
    pub max_rows: u32,
}

fn thousand() -> u32 {
    1_000
}

/// What every sensor shares (semantics E5, sensors).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SensorOptions {
    /// Seconds between pokes.
    pub poke_interval: f64,
    /// Seconds until the sensor fails; without retries.
    pub timeout: f64,
    /// Skip instead of failing at the timeout.
    pub soft_fail: bool,
    /// Give the slot back between pokes.
    pub mode: SensorMode,
}

impl Default for SensorOptions {
    fn default() -> Self {
        Self { poke_interval: 60.0, timeout: 604_800.0, soft_fail: false, mode: SensorMode::Poke }
    }
}

/// Whether a sensor keeps its slot between pokes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SensorMode {
    /// It keeps its slot.
    #[default]
    Poke,
    /// It gives its slot back and is queued again for each poke.
    Reschedule,
}

/// Options of `file_sensor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSensorOptions {
    /// Path or glob on the worker; templated.
    pub path: String,
    /// How it pokes.
    #[serde(default)]
    pub sensor: SensorOptions,
}

/// Options of `time_sensor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSensorOptions {
    /// `HH:MM` or `HH:MM:SS`, today in the DAG's zone.
    pub target_time: String,
    /// IANA zone; UTC by default.
    #[serde(default)]
    pub timezone: Option<String>,
    /// How it waits; `poke_interval` only matters in reschedule mode.
    #[serde(default)]
    pub sensor: SensorOptions,
}

/// Options of `time_delta_sensor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeDeltaSensorOptions {
    /// Seconds after the end of the run's data interval (after `run_after` where there is none).
    pub seconds: f64,
    /// How it waits.
    #[serde(default)]
    pub sensor: SensorOptions,
}

/// Options of `date_time_sensor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateTimeSensorOptions {
    /// RFC 3339 instant; templated.
    pub target_time: String,
    /// How it waits.
    #[serde(default)]
    pub sensor: SensorOptions,
}
