//! What can happen to the engine, and what it answers.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tradewind_types::{
    ApiError, AssetKey, AttemptKey, AttemptReport, Backfill, BackfillItem, Callback, CallbackGrant, ClaimRefusal,
    DagId, DagRow, DagRun, DagVersion, Grant, HumanInput, LeaseToken, Pool, PoolName, QueueName, Reprocess, RunId,
    RunNo, RunState, RunType, TaskId, TaskInstance, TaskState, Timestamp, WorkerName, XComValue,
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
    /// A running attempt asks a person something, before it reports that it waits. Answer: [`Reply::Done`], or an error
    /// with `stale_attempt`.
    AskHuman {
        /// The attempt.
        key: AttemptKey,
        /// Its token.
        token: LeaseToken,
        /// The question; ids and instants are filled in from the attempt.
        input: Box<HumanInput>,
    },
    /// A person answered; `input` is the stored question with the answer filled in. The task resumes with `event`.
    /// Answer: [`Reply::Done`], or an error when the task instance does not wait for an answer any more.
    AnswerHuman {
        /// The question with its answer.
        input: Box<HumanInput>,
        /// What the task is told, as the SDK serializes it.
        event: serde_json::Value,
    },
    /// An asset was updated by other means than a task (`assets` command, API). Answer: [`Reply::AssetEvent`].
    UpdateAsset {
        /// The asset; it must be known.
        asset: AssetKey,
        /// A JSON object.
        extra: serde_json::Value,
        /// Who.
        by: String,
    },
    /// A backfill is asked for. Answer: [`Reply::Backfill`] or an error. Existing runs of the range that are over must be
    /// loaded before ([`Event::LoadRun`]).
    CreateBackfill(BackfillRequest),
    /// A backfill is paused, unpaused or cancelled. Answer: [`Reply::Backfill`] or an error.
    SetBackfill {
        /// The backfill.
        no: u64,
        /// What to do.
        action: BackfillAction,
        /// Who.
        by: String,
    },
    /// A guest evaluated a custom timetable ([`Dispatch::AskTimetable`]). Answer: [`Reply::Done`].
    TimetableAnswer {
        /// The DAG.
        dag_id: DagId,
        /// The number of the question; another one is out of date and changes nothing.
        question: u64,
        /// The next run, none, or why the timetable raised.
        answer: Result<Option<crate::timetable::DagRunInfo>, String>,
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

/// A backfill that is asked for.
#[derive(Clone, Debug)]
pub struct BackfillRequest {
    /// The DAG.
    pub dag_id: DagId,
    /// The first date.
    pub from: Timestamp,
    /// The last date.
    pub to: Timestamp,
    /// Runs of it that may run at once.
    pub max_active_runs: u32,
    /// Which existing runs it runs again.
    pub reprocess: Reprocess,
    /// Latest date first.
    pub backwards: bool,
    /// The conf of its runs.
    pub conf: serde_json::Value,
    /// The runs of a custom timetable, which a guest worked out; others follow from the schedule.
    pub dates: Option<Vec<crate::timetable::DagRunInfo>>,
    /// Only say which runs there would be.
    pub dry_run: bool,
    /// Who.
    pub by: String,
}

/// What is done about a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillAction {
    /// Start none of its runs for now.
    Pause,
    /// Go on.
    Unpause,
    /// Queued runs of it fail; what runs goes on.
    Cancel,
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
    /// Only these map indexes of them; all when empty.
    pub map_indexes: Vec<i32>,
    /// Also everything downstream of them.
    pub downstream: bool,
    /// Also everything upstream of them.
    pub upstream: bool,
    /// Only instances that failed or whose upstream failed.
    pub only_failed: bool,
    /// Only instances that run.
    pub only_running: bool,
    /// Only say which.
    pub dry_run: bool,
    /// Move the run, which must be over, to the latest version of its DAG first; tasks are those of that version.
    pub latest_version: bool,
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
    /// A backfill with its dates; `no` is 0 after a dry run.
    Backfill(Box<Backfill>, Vec<BackfillItem>),
    /// The number of the asset event.
    AssetEvent(u64),
    /// The running callback that a token belongs to.
    Callback {
        /// It.
        callback: Box<Callback>,
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
    /// Granted: not a task instance but a callback. Its end is reported like an attempt's.
    Callback(Box<CallbackGrant>),
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
    /// A custom timetable must be evaluated by a guest; the answer is [`Event::TimetableAnswer`]. A later question of the
    /// same DAG replaces it.
    AskTimetable(Box<TimetableQuestion>),
    /// A run is over.
    RunFinished {
        /// The run.
        run_no: RunNo,
        /// Its state.
        state: RunState,
    },
}

/// When does a DAG with a custom timetable run next?
#[derive(Clone, Debug, PartialEq)]
pub struct TimetableQuestion {
    /// The DAG.
    pub dag_id: DagId,
    /// Its version; its source and bundle are in it.
    pub version: tradewind_types::VersionHash,
    /// The number of the question.
    pub question: u64,
    /// The data interval of the last scheduled run.
    pub last: Option<(Timestamp, Timestamp)>,
    /// The leader's time.
    pub now: Timestamp,
    /// Whether missed runs are made up for.
    pub catchup: bool,
    /// The first instant that runs may cover.
    pub earliest: Option<Timestamp>,
    /// The last.
    pub latest: Option<Timestamp>,
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
    /// How many instances a mapped task may have (Airflow `[core] max_map_length`).
    pub max_map_length: u32,
    /// Whether `execution_timeout` bounds a try over all its deferrals, not only each part of it that runs (which is what
    /// Airflow does).
    pub execution_timeout_spans_deferral: bool,
    /// Whether the timeout of a sensor in reschedule mode goes on over its retries (in Airflow each starts anew).
    pub sensor_timeout_spans_retries: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            parallelism: 1024,
            lease: Duration::from_secs(15),
            max_retry_delay: Duration::from_secs(86_400),
            max_worker_losses: 3,
            max_map_length: 1024,
            execution_timeout_spans_deferral: false,
            sensor_timeout_spans_retries: false,
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
    /// Assets that DAGs name.
    pub assets: Vec<tradewind_types::Asset>,
    /// The assets that events of an alias were attached to.
    pub asset_aliases: Vec<(String, AssetKey)>,
    /// Backfills that are not completed.
    pub backfills: Vec<Backfill>,
    /// Callbacks that are not over, each with its run.
    pub callbacks: Vec<(Callback, DagRun)>,
    /// Questions to people that are not answered.
    pub human_inputs: Vec<HumanInput>,
    /// The number that the next run gets.
    pub next_run_no: u64,
    /// The number that the next asset event gets.
    pub next_event_no: u64,
    /// The number that the next backfill gets.
    pub next_backfill_no: u64,
}
