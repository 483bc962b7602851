//! What the questions of a task and their answers are made of.

use jiff::Timestamp;
use serde_json::Value;

/// A connection as user code sees it. Its `Debug` form hides the secrets.
#[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ConnectionInfo {
    /// Connection id.
    pub conn_id: String,
    /// Type, e.g. `postgres`.
    pub conn_type: String,
    /// Host.
    pub host: Option<String>,
    /// Schema or database.
    pub schema: Option<String>,
    /// Login.
    pub login: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Port.
    pub port: Option<i32>,
    /// Further settings: a JSON object as text.
    pub extra: Option<String>,
}

impl std::fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Names one XCom, or all of a task's XComs with this key when `map_index` is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XComAddress {
    /// DAG id.
    pub dag_id: String,
    /// Run id.
    pub run_id: String,
    /// Task id.
    pub task_id: String,
    /// Map index.
    pub map_index: Option<i32>,
    /// Key; `return_value` for a task's result.
    pub key: String,
}

/// A Python slice over the map indexes of a task's XComs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XComSlice {
    /// First position; negative counts from the end.
    pub start: Option<i64>,
    /// One past the last position.
    pub stop: Option<i64>,
    /// Step; negative walks backwards.
    pub step: Option<i64>,
    /// Look in earlier runs too when this one has none.
    pub include_prior_dates: bool,
}

/// Which task instances a count or a state query is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskInstanceFilter {
    /// DAG id.
    pub dag_id: String,
    /// Only this map index.
    pub map_index: Option<i32>,
    /// Only these tasks.
    pub task_ids: Option<Vec<String>>,
    /// Only tasks of this group.
    pub task_group_id: Option<String>,
    /// Only runs with these logical dates.
    pub logical_dates: Option<Vec<Timestamp>>,
    /// Only these runs.
    pub run_ids: Option<Vec<String>>,
    /// Only these states.
    pub states: Option<Vec<String>>,
}

/// A DAG run as user code sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRunInfo {
    /// DAG id.
    pub dag_id: String,
    /// Run id.
    pub run_id: String,
    /// Logical date.
    pub logical_date: Option<Timestamp>,
    /// Start of the data interval.
    pub data_interval_start: Option<Timestamp>,
    /// End of the data interval.
    pub data_interval_end: Option<Timestamp>,
    /// When the run became due.
    pub run_after: Timestamp,
    /// When it started.
    pub start_date: Option<Timestamp>,
    /// When it ended.
    pub end_date: Option<Timestamp>,
    /// `scheduled`, `manual`, ...
    pub run_type: String,
    /// `queued`, `running`, `success` or `failed`.
    pub state: String,
    /// Configuration: an object or null.
    pub conf: Value,
}

/// A wish of `TriggerDagRunOperator`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerRequest {
    /// DAG to run.
    pub dag_id: String,
    /// Id of the new run.
    pub run_id: String,
    /// Its configuration.
    pub conf: Value,
    /// Its logical date.
    pub logical_date: Option<Timestamp>,
    /// When it becomes due.
    pub run_after: Option<Timestamp>,
    /// Clear the run when it already exists.
    pub reset: bool,
    /// A note for people.
    pub note: Option<String>,
}

/// An asset as user code sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetInfo {
    /// Its name.
    pub name: String,
    /// Its URI.
    pub uri: String,
    /// Its group.
    pub group: String,
    /// A JSON object.
    pub extra: Value,
}

/// How a question names an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetName {
    /// By its name.
    Name(String),
    /// By its URI.
    Uri(String),
}

/// Which asset events are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetEventQuery {
    /// Of the asset of this name.
    pub name: Option<String>,
    /// Of the asset with this URI.
    pub uri: Option<String>,
    /// That came through this alias.
    pub alias: Option<String>,
    /// Not earlier.
    pub after: Option<Timestamp>,
    /// Not later.
    pub before: Option<Timestamp>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Oldest first.
    pub ascending: bool,
}

/// An asset event as user code sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetEventInfo {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// The asset.
    pub asset: AssetInfo,
    /// A JSON object.
    pub extra: Value,
    /// The task instance that updated the asset: DAG, run, task, map index.
    pub source: Option<(String, String, String, i32)>,
    /// The aliases that it came through.
    pub aliases: Vec<String>,
}

/// Whose kept values are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateScope {
    /// A task instance's.
    Task(uuid::Uuid),
    /// An asset's.
    Asset(AssetName),
}

/// Which earlier task instance is asked for: the one of the latest run that fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviousTiQuery {
    /// DAG id.
    pub dag_id: String,
    /// Task id.
    pub task_id: String,
    /// Map index; -1 for an unmapped task.
    pub map_index: i32,
    /// Only runs with an earlier logical date.
    pub before: Option<Timestamp>,
    /// Only in this state.
    pub state: Option<String>,
}

/// A task instance as user code sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskInstanceInfo {
    /// DAG id.
    pub dag_id: String,
    /// Run id.
    pub run_id: String,
    /// Task id.
    pub task_id: String,
    /// Map index.
    pub map_index: i32,
    /// The operator's name.
    pub operator: String,
    /// State; `None` before it has one.
    pub state: Option<String>,
    /// The try that it is in or did last.
    pub try_number: u32,
    /// Logical date of its run.
    pub logical_date: Option<Timestamp>,
    /// When it started.
    pub start_date: Option<Timestamp>,
    /// When it ended.
    pub end_date: Option<Timestamp>,
}

impl TaskInstanceInfo {
    /// How long it took, in seconds.
    pub fn duration(&self) -> Option<f64> {
        let (start, end) = (self.start_date?, self.end_date?);
        Some(end.duration_since(start).as_secs_f64())
    }
}

/// A DAG as user code sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DagInfo {
    /// DAG id.
    pub dag_id: String,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Its file, relative to the bundle.
    pub rel_path: String,
    /// The version that new runs use.
    pub version: String,
    /// Owners of its tasks.
    pub owners: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Logical date of its next run.
    pub next_logical_date: Option<Timestamp>,
}

/// A question to a person (human in the loop).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HumanQuestion {
    /// In a line.
    pub subject: String,
    /// More, in Markdown.
    pub body: Option<String>,
    /// What can be chosen.
    pub options: Vec<String>,
    /// What is chosen when nobody answers in time.
    pub defaults: Option<Vec<String>>,
    /// Whether several options can be chosen.
    pub multiple: bool,
    /// Params to fill in, in the guest's serialization: an object or null.
    pub params: Value,
    /// Who may answer: objects with `id` and `name`; anybody when empty.
    pub assignees: Vec<Value>,
}

/// A person's answer, or that there is none yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HumanAnswer {
    /// When it came; `None` while it has not.
    pub at: Option<Timestamp>,
    /// Who answered.
    pub by: Option<String>,
    /// What was chosen.
    pub chosen: Option<Vec<String>>,
    /// The params as filled in.
    pub params_input: Value,
}
