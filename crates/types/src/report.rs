//! What a worker says of an attempt, and what it is given when a claim is granted.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{AttemptKey, DagRun, DagVersion, LeaseToken, TaskId, TaskInstance, Timestamp};

/// How an attempt ended (semantics E5, outcome of the exception).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It returned.
    Success,
    /// It skipped itself.
    Skipped,
    /// It failed. With `retry`, the retry rule decides; without, it fails for good (`AirflowFailException`,
    /// `AirflowSensorTimeout`).
    Failed {
        /// Whether the retry rule is asked.
        retry: bool,
        /// A delay that a `RetryPolicy` chose instead of the rule's.
        delay: Option<Duration>,
    },
    /// A sensor in reschedule mode that wants its next poke at `at`.
    Reschedule {
        /// When.
        at: Timestamp,
    },
    /// The worker gives an attempt back that it never started, or that it stopped because it drains and of which nothing
    /// runs any more: same try, no loss counted.
    Released,
}

/// The end of an attempt, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its token.
    pub token: LeaseToken,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// XComs that it left and that were not written before.
    pub xcoms: Vec<XComValue>,
    /// Direct downstream tasks that a branch or short circuit skips, with map index (-1 when not mapped).
    pub skip: Vec<(TaskId, i32)>,
    /// Why it ended so, in words.
    pub note: Option<String>,
    /// When it ended, by the worker's clock; for display, the leader's clock decides.
    pub ended_at: Timestamp,
}

/// A key and a value to be pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct XComValue {
    /// The key.
    pub key: String,
    /// The value, as JSON.
    pub value: serde_json::Value,
}

/// A granted claim: all that a worker needs to run the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The token that the worker sent.
    pub token: LeaseToken,
    /// How long the lease lasts, from when the claim was sent.
    pub lease: Duration,
    /// The task instance, running.
    pub ti: TaskInstance,
    /// Its run.
    pub run: Arc<DagRun>,
    /// The version of its DAG; the task is found in it by id.
    pub version: Arc<DagVersion>,
    /// Whether the retry rule would allow another try if this one fails.
    pub should_retry: bool,
}

/// Why a claim was refused; the worker drops the hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimRefusal {
    /// Another worker claimed it, or the attempt is over.
    Stale,
    /// No such task instance is active.
    Unknown,
    /// The worker does not serve the task's queue.
    WrongQueue,
}
