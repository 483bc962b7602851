//! What the store keeps and listings show: DAGs, runs, task instances, tries, XComs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AttemptKey, BackfillRef, BundleHash, DagId, DagSource, Deferral, LeaseToken, PendingAsset, PoolName, QueueName,
    RunId, RunNo, RunState, RunType, TaskId, TaskState, TiId, Timestamp, VersionHash, WorkerName,
};

/// A DAG as the installation knows it; its content is in its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DagRow {
    /// Its id.
    pub dag_id: DagId,
    /// The version that new runs use.
    pub version: VersionHash,
    /// The number of that version.
    pub version_number: u32,
    /// Paused: no new scheduled runs, no new task instances admitted.
    pub is_paused: bool,
    /// Its file is gone or no longer defines it; its history stays.
    pub is_stale: bool,
    /// Where it was defined last.
    pub source: DagSource,
    /// When it was last parsed.
    pub parsed_at: Timestamp,
    /// How many of its latest runs failed in a row, for `max_consecutive_failed_dag_runs`.
    #[serde(default)]
    pub failed_runs: u32,
    /// Asset events that its schedule has not used yet, oldest first.
    #[serde(default)]
    pub pending_assets: Vec<PendingAsset>,
    /// How long its last successful runs took, in microseconds, oldest first; kept where a deadline asks.
    #[serde(default)]
    pub runtimes: Vec<i64>,
    /// The data interval of the last run that its schedule made or passed over.
    #[serde(default)]
    pub last_scheduled: Option<(Timestamp, Timestamp)>,
    /// Why its timetable gives no next run, when it raised.
    #[serde(default)]
    pub schedule_error: Option<String>,
}

/// A DAG run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DagRun {
    /// Its number.
    pub run_no: RunNo,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its id in the DAG.
    pub run_id: RunId,
    /// What created it.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// The version of the DAG that it runs.
    pub version: VersionHash,
    /// The instant it stands for; null for asset-triggered runs and on request.
    pub logical_date: Option<Timestamp>,
    /// Start of its data interval.
    pub data_interval_start: Option<Timestamp>,
    /// End of its data interval.
    pub data_interval_end: Option<Timestamp>,
    /// It does not start before.
    pub run_after: Timestamp,
    /// The conf it was triggered with: a JSON object.
    pub conf: serde_json::Value,
    /// When it was created or cleared.
    pub queued_at: Timestamp,
    /// When it first ran.
    pub start_date: Option<Timestamp>,
    /// When it was over.
    pub end_date: Option<Timestamp>,
    /// How often it was cleared.
    pub clear_number: u32,
    /// Who or what triggered it, e.g. `cli`.
    pub triggered_by: Option<String>,
    /// Why it is in its state, in words, where that is not obvious (timed out, deadlocked).
    pub note: Option<String>,
    /// The backfill that made it or runs it again.
    #[serde(default)]
    pub backfill: Option<BackfillRef>,
    /// The deadlines of its DAG that it has missed, by place, as bits: each is alerted once. Can change; stores keep it.
    #[serde(default)]
    pub missed_deadlines: u32,
}

/// A task instance: a task in a run. The first group of fields never changes; the second is written by the leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskInstance {
    /// Its id.
    pub id: TiId,
    /// Its run.
    pub run_no: RunNo,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run's id.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// -1 when not mapped, or not expanded yet: the only one of these fields that can change, to 0.
    pub map_index: i32,
    /// The operator's name, for listings.
    pub operator: String,
    /// Its pool.
    pub pool: PoolName,
    /// Slots it takes there.
    pub pool_slots: u32,
    /// Its queue.
    pub queue: QueueName,
    /// Its effective priority.
    pub priority_weight: i64,

    /// Its state.
    pub state: TaskState,
    /// Which try it is in or did last; 0 before the first.
    pub try_number: u32,
    /// The last try that may fail and still be retried: `retries`, raised by clearing.
    pub max_tries: u32,
    /// Which dispatch it is in or did last; 0 before the first. Fences hints and reports.
    pub attempt: u32,
    /// Consecutive attempts that ended because their worker was lost.
    pub worker_losses: u32,
    /// When it became ready.
    pub scheduled_at: Option<Timestamp>,
    /// When it was admitted to its queue.
    pub queued_at: Option<Timestamp>,
    /// When the current or last try started.
    pub start_date: Option<Timestamp>,
    /// When it was over.
    pub end_date: Option<Timestamp>,
    /// `up_for_retry`, `up_for_reschedule`, `deferred`: when it is due again.
    pub next_at: Option<Timestamp>,
    /// With `up_for_reschedule`: when its first poke started (the sensor's timeout counts from there).
    pub first_poke_at: Option<Timestamp>,
    /// The worker that holds or held the current attempt.
    pub worker: Option<WorkerName>,
    /// The token of the current or last claimed attempt.
    pub token: Option<LeaseToken>,
    /// Why it is in its state, in words (the last error, the lost worker, the upstream that failed).
    pub note: Option<String>,
    /// The tasks that its last success decided to skip (a branch or short circuit), with map index: kept so that one of
    /// them that is cleared alone is skipped again (Airflow's `skipmixin_key`). Empty for most; stores keep it as JSON.
    #[serde(default)]
    pub skips: Vec<(TaskId, i32)>,
    /// What it waits for without a slot, or just has waited for. Stores keep it as JSON.
    #[serde(default)]
    pub deferral: Option<Box<Deferral>>,
    /// How often the current try was rescheduled.
    #[serde(default)]
    pub reschedules: u32,
    /// The label of a mapped instance (`map_index_template`).
    #[serde(default)]
    pub rendered_map_index: Option<String>,
    /// Set when it pushed a `return_value`: its length where tasks are mapped over it, else 0.
    #[serde(default)]
    pub xcom_length: Option<u32>,
}

impl TaskInstance {
    /// The key of its current attempt.
    pub fn key(&self) -> AttemptKey {
        AttemptKey { ti: self.id, attempt: self.attempt }
    }
}

/// A past attempt of a task instance, kept when a later one replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskTry {
    /// The task instance.
    pub ti: TiId,
    /// Its run.
    pub run_no: RunNo,
    /// The dispatch.
    pub attempt: u32,
    /// The try; attempts of one sensor try share it.
    pub try_number: u32,
    /// How it ended.
    pub state: TaskState,
    /// When it was queued.
    pub queued_at: Option<Timestamp>,
    /// When it started.
    pub start_date: Option<Timestamp>,
    /// When it ended.
    pub end_date: Option<Timestamp>,
    /// The worker.
    pub worker: Option<WorkerName>,
    /// Why it ended so.
    pub note: Option<String>,
}

/// The key under which a task's return value is pushed.
pub const XCOM_RETURN_KEY: &str = "return_value";

/// A reference to the value of an XCom that is too large for its row: the JSON text under a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XComObject {
    /// Where, e.g. `s3://bucket/prefix/name`.
    pub url: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What sets the limit of an XCom, for messages.
pub const XCOM_LIMITS: &str =
    "xcom.inline_max_bytes, or xcom.max_bytes where xcom.storage_url names a folder or bucket for large values";

/// An XCom: a value that one task instance leaves for others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct XCom {
    /// The task instance that pushed it.
    pub ti: TiId,
    /// Its run.
    pub run_no: RunNo,
    /// Its task.
    pub task_id: TaskId,
    /// Its map index.
    pub map_index: i32,
    /// Its key.
    pub key: String,
    /// The value, as the JSON that Airflow's `serde` writes; null when it is kept elsewhere.
    pub value: serde_json::Value,
    /// Where a large value is kept.
    #[serde(default)]
    pub object: Option<XComObject>,
    /// When it was pushed.
    pub created_at: Timestamp,
}

/// An error that kept a DAG file, or one DAG of it, from being loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportError {
    /// Path below the DAG folder.
    pub rel_path: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// Line in the file, where known.
    pub line: Option<u32>,
    /// Column in the line, where known.
    pub column: Option<u32>,
    /// The traceback, for Python files.
    pub traceback: Option<String>,
    /// When it was seen first with this content.
    pub at: Timestamp,
}

/// A name in a DAG file that newer versions of Airflow no longer have, and what is written instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Deprecation {
    /// Path below the DAG folder: the DAG file, or a module that it imports.
    pub file: String,
    /// Line in the file, where known.
    #[serde(default)]
    pub line: Option<u32>,
    /// The name as it stands there.
    pub old: String,
    /// What is written now; empty where nothing took its place.
    #[serde(default)]
    pub new: String,
    /// More about it.
    #[serde(default)]
    pub note: Option<String>,
}

impl std::fmt::Display for Deprecation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {} is deprecated", self.old)?;
        if !self.new.is_empty() {
            write!(f, ": use {}", self.new)?;
        }
        match &self.note {
            Some(note) if !note.is_empty() => write!(f, " ({note})"),
            _ => Ok(()),
        }
    }
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BundleFile {
    /// Path below the bundle, with `/`; never absolute, never with `..`.
    pub path: String,
    /// Its bytes' address.
    pub blob: crate::BlobHash,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is executable.
    #[serde(default)]
    pub executable: bool,
}

/// A bundle: the files that the tasks of a DAG file need, by content. Its hash is over the JSON of `files`, sorted by
/// path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its address.
    pub hash: BundleHash,
    /// Its files, sorted by path.
    pub files: Vec<BundleFile>,
}

impl Bundle {
    /// Makes a bundle of `files`: sorts them and computes the address.
    pub fn new(mut files: Vec<BundleFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = serde_json::to_vec(&files).unwrap_or_default();
        Self { hash: BundleHash::from(crate::sha256_hex(&manifest)), files }
    }

    /// Whether the hash fits the files and every path stays inside the bundle.
    pub fn is_sound(&self) -> bool {
        let inside = |path: &str| {
            !path.is_empty()
                && !path.contains(['\\', '\0'])
                && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        };
        self.files.iter().all(|file| inside(&file.path)) && Self::new(self.files.clone()).hash == self.hash
    }
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// What, e.g. `dag.pause`, `task.clear`, `leader.elected`.
    pub event: String,
    /// Who.
    pub by: String,
    /// The DAG, where there is one.
    pub dag_id: Option<DagId>,
    /// The run, where there is one.
    pub run_id: Option<RunId>,
    /// The task, where there is one.
    pub task_id: Option<TaskId>,
    /// More, in words.
    pub detail: Option<String>,
}

/// Who holds the leader lease of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaderInfo {
    /// The term.
    pub term: crate::Term,
    /// The scheduler's name.
    pub owner: String,
    /// The process's identity, new at each start.
    pub incarnation: Uuid,
    /// The gRPC address that clients and workers reach it at.
    pub address: String,
    /// When the lease runs out, by the store's clock.
    pub expires_at: Timestamp,
}
