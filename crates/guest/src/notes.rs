//! What the author of a DAG file asks beyond its serialized form.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// What a file made, for its author: where, and of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FileNotes {
    /// Every DAG that was made while the file was loaded, in this order; one id may come up more than once.
    pub dags: Vec<DagNotes>,
}

/// A DAG of [`FileNotes`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DagNotes {
    /// Its id.
    pub dag_id: String,
    /// Where it was made.
    pub place: Option<Place>,
    /// A hash over its callbacks.
    pub code: String,
    /// A way round through its tasks, the first one repeated at the end; empty when there is none.
    pub cycle: Vec<String>,
    /// What its custom timetable says; nothing when it has none.
    #[serde(default)]
    pub custom_runs: Option<CustomRuns>,
    /// Its tasks.
    pub tasks: Vec<TaskNotes>,
}

/// When a DAG with a custom timetable becomes due next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CustomRuns {
    /// The next times after the file was loaded, five at most.
    pub times: Vec<Timestamp>,
    /// Why they are not known: what the timetable raised.
    pub error: Option<String>,
}

/// A task of [`DagNotes`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TaskNotes {
    /// Its id.
    pub task_id: String,
    /// Where it was made.
    pub place: Option<Place>,
    /// A hash over its arguments and callables, and everything of the DAG folder that these use. It changes with what
    /// they mean, not with comments or lines.
    pub code: String,
    /// A hash over its class and callables alone, without plain arguments.
    pub callables: String,
    /// Its arguments as Python shows them.
    pub arguments: BTreeMap<String, String>,
    /// The connections that it names.
    pub connections: Vec<ConnectionUse>,
}

/// A line of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Place {
    /// Path below the DAG folder.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// A connection that a task names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ConnectionUse {
    /// The argument, e.g. `postgres_conn_id`.
    pub argument: String,
    /// The connection id.
    pub id: String,
    /// Whether it is the operator's own default: the file does not say it.
    pub is_default: bool,
}
