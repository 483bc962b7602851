//! What an operator may ask of the worker around it.

use async_trait::async_trait;
use serde_json::{Map, Value};
use tradewind_types::{Connection, DagRun, Timestamp};

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For finding errors.
    Debug,
    /// The normal course.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// Why the worker could not answer an operator; the text is for people. Asking again may help, so the operator fails in
/// a way that the retry rule may mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IoError(pub String);

/// Which XComs an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct XComQuery {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task that pushed them.
    pub task_id: String,
    /// Only this map index; all when absent.
    pub map_index: Option<i32>,
    /// The key.
    pub key: String,
    /// Look in earlier runs when this one has none.
    pub include_prior_dates: bool,
}

/// The worker's side of a running operator.
#[async_trait]
pub trait OperatorIo: Send + Sync {
    /// The time. Sensors compare it with their targets.
    fn now(&self) -> Timestamp;

    /// Lines of the task's log. Returning late slows the operator down: this is the back-pressure.
    async fn log(&self, level: LogLevel, logger: &'static str, lines: Vec<String>);

    /// The XComs that fit, by map index.
    async fn xcoms(&self, query: &XComQuery) -> Result<Vec<(i32, Value)>, IoError>;

    /// A variable's value, `None` when there is none.
    async fn variable(&self, key: &str) -> Result<Option<String>, IoError>;

    /// A connection, `None` when there is none.
    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, IoError>;

    /// The latest successful run of the same DAG with an earlier logical date.
    async fn previous_success(&self) -> Result<Option<DagRun>, IoError>;

    /// The templated fields as rendered; called at most once, and only when rendering changed one.
    async fn rendered(&self, fields: Map<String, Value>) -> Result<(), IoError>;

    /// A process group of the attempt exists; it must not outlive the worker.
    fn process_started(&self, _pid: u32) {}

    /// The process group is gone.
    fn process_ended(&self, _pid: u32) {}
}
