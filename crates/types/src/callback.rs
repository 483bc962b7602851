//! Callbacks that no task process can run: of DAG runs, of task instances whose worker was lost, of deadlines. They are
//! rows, run on workers, and survive everything (Airflow's callback requests).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AttemptKey, DagId, LeaseToken, QueueName, RunId, RunNo, TaskId, TiId, Timestamp, WorkerName};

/// What a callback is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackKind {
    /// The DAG's `on_success_callback`.
    DagSuccess,
    /// The DAG's `on_failure_callback`.
    DagFailure,
    /// A task's `on_failure_callback` and failure e-mail, where its process could not run them itself.
    TaskFailure,
    /// A task's `on_retry_callback` and retry e-mail, likewise.
    TaskRetry,
    /// The callback of a deadline that was missed.
    Deadline,
}

/// How far a callback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// It waits in its queue.
    Queued,
    /// A worker runs it.
    Running,
    /// It returned.
    Success,
    /// It raised, hung, or its workers were lost too often.
    Failed,
}

macro_rules! text_of {
    ($name:ident, $what:literal, $($variant:ident = $text:literal),+) => {
        impl $name {
            /// The name that stores and listings use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!(concat!("unknown ", $what, " \"{}\""), other)),
                }
            }
        }
    };
}
text_of!(
    CallbackKind,
    "callback kind",
    DagSuccess = "dag_success",
    DagFailure = "dag_failure",
    TaskFailure = "task_failure",
    TaskRetry = "task_retry",
    Deadline = "deadline"
);
text_of!(
    CallbackState,
    "callback state",
    Queued = "queued",
    Running = "running",
    Success = "success",
    Failed = "failed"
);

impl CallbackState {
    /// Whether it is over.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

/// A callback to be run on a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    /// Its id; drawn from the same space as task instances, so that hints and leases fit.
    pub id: TiId,
    /// The run it is about.
    pub run_no: RunNo,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run's id.
    pub run_id: RunId,
    /// What it is for.
    pub kind: CallbackKind,
    /// The task instance it is about: task, map index, try number.
    #[serde(default)]
    pub task: Option<(TaskId, i32, u32)>,
    /// Why, in words, as the context's `reason` (`task_failure`, `timed_out`, `all_tasks_deadlocked`, `success`).
    #[serde(default)]
    pub reason: Option<String>,
    /// With a deadline: its callback as the DAG file's serialization has it; else null.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The queue whose workers run it.
    pub queue: QueueName,
    /// How far it is.
    pub state: CallbackState,
    /// Which dispatch it is in; fences hints and reports.
    pub attempt: u32,
    /// The worker that holds or held it.
    #[serde(default)]
    pub worker: Option<WorkerName>,
    /// The token of the current or last claim.
    #[serde(default)]
    pub token: Option<LeaseToken>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was claimed last.
    #[serde(default)]
    pub start_date: Option<Timestamp>,
    /// When it was over.
    #[serde(default)]
    pub end_date: Option<Timestamp>,
    /// Why it failed.
    #[serde(default)]
    pub note: Option<String>,
}

impl Callback {
    /// The key of its current attempt.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey { ti: self.id, attempt: self.attempt }
    }
}
