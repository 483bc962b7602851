//! What a worker says of an attempt, and what it is given when a claim is granted.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    AttemptKey, Callback, DagRun, DagVersion, LeaseToken, OutletEvent, TaskId, TaskInstance, TaskState, Timestamp,
    Trigger, XComObject,
};

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
    /// It hands itself over to a trigger.
    Deferred {
        /// The trigger.
        trigger: Trigger,
        /// How long the wait may last.
        timeout: Option<Duration>,
        /// The method to resume at.
        next_method: String,
        /// Its arguments, as the SDK serializes them.
        next_kwargs: serde_json::Value,
    },
    /// Of a trigger that a host runs: it gave an event, the task resumes.
    TriggerFired {
        /// The event, as the SDK serializes it.
        event: serde_json::Value,
    },
    /// Of a trigger that a host runs: it ended the task instance itself (`TaskSuccessEvent` and its like).
    TriggerEnded {
        /// `success`, `failed` or `skipped`.
        state: TaskState,
    },
    /// Of a trigger that a host runs: it raised, or ended without an event.
    TriggerFailed {
        /// What the task is told.
        error: String,
        /// The traceback's lines.
        #[serde(default)]
        traceback: Vec<String>,
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
    /// Updates of assets.
    #[serde(default)]
    pub asset_events: Vec<OutletEvent>,
    /// The label of a mapped instance, when it rendered one.
    #[serde(default)]
    pub rendered_map_index: Option<String>,
    /// Its process ended before it could run the task's callbacks: a worker is to run them, as of a lost worker's task.
    #[serde(default)]
    pub callbacks_due: bool,
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
    /// The value, as JSON; null when it is kept elsewhere.
    pub value: serde_json::Value,
    /// Where a large value is kept.
    #[serde(default)]
    pub object: Option<XComObject>,
    /// Its length, where tasks are mapped over it.
    #[serde(default)]
    pub mapped_length: Option<u32>,
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
    /// In a mapped task group: the map index of each upstream task whose XComs this instance reads (Airflow's
    /// `upstream_map_indexes`); tasks that are not named are read whole.
    pub upstream_map_indexes: Vec<(TaskId, i32)>,
    /// In a mapped task group or on a mapped task: how many instances there are.
    pub expanded_count: Option<u32>,
}

/// A granted callback.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackGrant {
    /// The token that the worker sent.
    pub token: LeaseToken,
    /// How long the lease lasts, from when the claim was sent.
    pub lease: Duration,
    /// The callback, running.
    pub callback: Callback,
    /// The run that it is about.
    pub run: Arc<DagRun>,
    /// The version of its DAG.
    pub version: Arc<DagVersion>,
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
