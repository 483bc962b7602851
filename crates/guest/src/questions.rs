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
