//! What can happen to the engine, and what it answers.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tradewind_types::{
    ApiError, AttemptKey, AttemptReport, ClaimRefusal, DagId, DagRow, DagRun, DagVersion, Grant, LeaseToken, Pool,
    PoolName, QueueName, RunId, RunNo, RunState, RunType, TaskId, TaskInstance, TaskState, Timestamp, WorkerName,
    XComValue,
};

/// Something that happened. [`crate::Engine::step`] applies it.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passed: everything that is due by now happens (runs, retries, timeouts, expired leases).
    Tick,
    /// A DAG was parsed: a new DAG, a new version, or the same again. Answer: [`Reply::Done`].
    DagPublished {
        /// Its version; `number` 0 is numbered by the engine.
        version: Arc<DagVersion>,
        /// Whether a DAG that is new starts paused, when it does not say itself.
        paused_by_default: bool,
    },
    /// A DAG's file is gone or no longer defines it. Its runs go on. Answer: [`Reply::Done`].
    DagGone {
        /// The DAG.
        dag_id: DagId,
    },
    /// Answer: [`Reply::Done`] or an error.
    SetPaused {
        /// The DAG.
        dag_id: DagId,
        /// Pause or unpause.
        paused: bool,
        /// Who.
        by: String,
    },
    /// A pool is made or changed. Answer: [`Reply::Done`] or an error.
    SetPool(Pool),
    /// A pool is deleted. Answer: [`Reply::Done`] or an error (unknown, or `default_pool`).
    DeletePool(PoolName),
    /// A run is asked for. Answer: [`Reply::Run`] or an error.
    Trigger(Trigger),
    /// A worker wants attempts. Answer: [`Reply::Claims`].
    Claim(ClaimRequest),
    /// A worker is alive and renews the leases of the attempts it holds. Answer: [`Reply::Heartbeat`].
    Heartbeat {
        /// The worker.
        worker: WorkerName,
        /// The attempts that it holds.
        holds: Vec<(AttemptKey, LeaseToken)>,
    },
    /// An attempt ended. Answer: [`Reply::Done`], or an error with `stale_attempt`.
    Report(AttemptReport),
    /// A running attempt pushes XComs. Answer: [`Reply::Done`], or an error with `stale_attempt`.
    PushXComs {
        /// The attempt.
        key: AttemptKey,
        /// Its token.
        token: LeaseToken,
        /// What it pushes.
        xcoms: Vec<XComValue>,
    },
    /// Checks that a token is the current one of a running attempt, for writes that do not touch the engine (logs,
    /// rendered fields) and for reads. Answer: [`Reply::Attempt`], or an error with `stale_attempt`.
    CheckAttempt {
        /// The attempt.
        key: AttemptKey,
        /// Its token.
        token: LeaseToken,
    },
    /// A worker process is known to be gone with everything it ran (it came back under the same name with a new
    /// incarnation). Its attempts end at once as lost. Answer: [`Reply::Done`].
    WorkerGone {
        /// The worker.
        worker: WorkerName,
    },
    /// Task instances run again. Answer: [`Reply::Instances`] or an error.
    Clear(ClearRequest),
    /// A task instance is marked by a person. Answer: [`Reply::Instances`] or an error.
    MarkTask {
        /// The DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
        /// The task.
        task_id: TaskId,
        /// Its map index.
        map_index: i32,
        /// `success`, `failed` or `skipped`.
        state: TaskState,
        /// Who.
        by: String,
    },
    /// A run is marked by a person: unfinished instances are stopped. Answer: [`Reply::Run`] or an error.
    MarkRun {
        /// The DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
        /// `success` or `failed`.
        state: RunState,
        /// Who.
        by: String,
    },
    /// A finished run is brought back from the store, before it is cleared or marked. Answer: [`Reply::Done`].
    LoadRun {
        /// The run.
        run: DagRun,
        /// Its task instances.
        task_instances: Vec<TaskInstance>,
        /// Its version.
        version: Arc<DagVersion>,
    },
}

/// A run that is asked for.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The DAG.
    pub dag_id: DagId,
    /// A chosen id; made from type and `run_after` when absent.
    pub run_id: Option<RunId>,
    /// What asks.
    pub run_type: RunType,
    /// The logical date; its data interval follows from the timetable. Null is allowed.
    pub logical_date: Option<Timestamp>,
    /// It does not start before; now when absent.
    pub run_after: Option<Timestamp>,
    /// A JSON object.
    pub conf: serde_json::Value,
    /// Who.
    pub by: String,
    /// Random text for the run id where the logical date is null, since the engine draws nothing.
    pub suffix: String,
}

/// What a worker wants: named attempts (it popped hints) or whatever is next (no hint, for when the queue is away).
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The worker.
    pub worker: WorkerName,
    /// The queues that it serves.
    pub queues: Vec<QueueName>,
    /// One offer a free slot.
    pub offers: Vec<ClaimOffer>,
}

/// One slot that a worker offers, under the token that the attempt will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOffer {
    /// The attempt that a hint named; `None` asks for the next queued one of the worker's queues.
    pub key: Option<AttemptKey>,
    /// Fresh for each offer; the same token again repeats the answer.
    pub token: LeaseToken,
}

/// Which task instances run again.
#[derive(Clone, Debug)]
pub struct ClearRequest {
    /// The DAG.
    pub dag_id: DagId,
    /// The run; it must be loaded.
    pub run_id: RunId,
    /// Tasks; every task when empty.
    pub task_ids: Vec<TaskId>,
    /// Also everything downstream of them.
    pub downstream: bool,
    /// Also everything upstream of them.
    pub upstream: bool,
    /// Only instances that failed or whose upstream failed.
    pub only_failed: bool,
    /// Only say which.
    pub dry_run: bool,
    /// Who.
    pub by: String,
}

/// The engine's answer to an event.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Done, or nothing to do.
    Done,
    /// The run that was made or marked.
    Run(Box<DagRun>),
    /// One answer an offer, in order.
    Claims(Vec<ClaimAnswer>),
    /// What the worker must know.
    Heartbeat {
        /// Attempts that it must stop: their token is not current any more.
        cancel: Vec<LeaseToken>,
    },
    /// The attempt that a token belongs to.
    Attempt {
        /// The task instance.
        ti: Box<TaskInstance>,
        /// Its run.
        run: Arc<DagRun>,
        /// Its version.
        version: Arc<DagVersion>,
    },
    /// The task instances that were (or, in a dry run, would be) changed.
    Instances(Vec<TaskInstance>),
    /// Refused; nothing changed.
    Refused(ApiError),
}

/// The answer to one offer.
#[derive(Clone, Debug)]
pub enum ClaimAnswer {
    /// Granted.
    Granted(Box<Grant>),
    /// Nothing is queued for this worker.
    Nothing,
    /// The hint was of no use; drop it.
    Refused(ClaimRefusal),
}

/// What the shell does once the rows are committed.
#[derive(Clone, Debug, PartialEq)]
pub enum Dispatch {
    /// Push a hint.
    Push(tradewind_types::Hint),
    /// Remove a hint, if it is still there: its attempt is not queued any more.
    Forget {
        /// The queue.
        queue: QueueName,
        /// The attempt.
        key: AttemptKey,
    },
    /// Tell a worker, at the next heartbeat or sooner, to stop an attempt.
    Cancel {
        /// The worker.
        worker: WorkerName,
        /// The attempt's token.
        token: LeaseToken,
    },
    /// A run is over.
    RunFinished {
        /// The run.
        run_no: RunNo,
        /// Its state.
        state: RunState,
    },
}

/// Everything that one or more steps want done: rows to commit, then dispatches.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// To be committed in one transaction.
    pub rows: tradewind_types::WriteSet,
    /// To be done after the commit, in order.
    pub dispatch: Vec<Dispatch>,
}

/// The engine's settings; the shell fills them from the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// Task instances that may execute at once in all.
    pub parallelism: u32,
    /// How long an attempt's lease lasts without renewal.
    pub lease: Duration,
    /// Upper bound of a retry delay with back-off (Airflow `[core] max_task_retry_delay`, 24 h).
    pub max_retry_delay: Duration,
    /// Consecutive lost workers after which a task instance fails for good (a poison task), whatever its retries.
    pub max_worker_losses: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            parallelism: 1024,
            lease: Duration::from_secs(15),
            max_retry_delay: Duration::from_secs(86_400),
            max_worker_losses: 3,
        }
    }
}

/// What a leader loads at the start of its term.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every DAG with its current version.
    pub dags: Vec<(DagRow, Arc<DagVersion>)>,
    /// Older versions that active runs keep.
    pub versions: Vec<Arc<DagVersion>>,
    /// Runs that are not over; and of each DAG the last scheduled run, every run with a later logical date than that
    /// (a manual run may have taken a date that the schedule has yet to reach) and, for DAGs that depend on the past,
    /// the last finished run (better: every finished one from the run before the earliest active one on), so that the
    /// next run and past dependence can be computed.
    pub runs: Vec<DagRun>,
    /// The task instances of those runs (of finished runs only where the DAG depends on the past).
    pub task_instances: Vec<TaskInstance>,
    /// Every pool.
    pub pools: Vec<Pool>,
    /// The number that the next run gets.
    pub next_run_no: u64,
}
