//! The words in which the worker and the DAG processor talk to this crate.
//!
//! Nothing here knows Airflow's wire format: the `protocol` module turns these types into its messages and back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

pub use crate::host::{HostError, TaskHost};
pub use crate::notes::*;
pub use crate::parse_asks::ParseHost;
pub use crate::questions::*;
pub use tradewind_types::Deprecation;

/// Where the guest interpreter is and what it may see.
#[derive(Debug, Clone)]
pub struct GuestEnv {
    /// The interpreter of the prepared Python environment.
    pub python: PathBuf,
    /// The folder that holds `tradewind_guest/`; it goes on `PYTHONPATH`.
    pub guest_package_dir: PathBuf,
    /// A private scratch folder: `AIRFLOW_HOME` and the working folders of tasks lie below it.
    pub home: PathBuf,
    /// What user code may see besides `PATH`, `HOME`, `LANG`, `LC_*` and `TZ`. Nothing else of our environment is
    /// passed on.
    pub extra_env: Vec<(String, String)>,
    /// How long a DAG file whose tasks run often stays loaded, so that they need not load it each; zero for never.
    pub warm_dags: Duration,
}

/// One attempt of a task instance: everything that the guest's start-up message needs, in our own words.
#[derive(Debug, Clone)]
pub struct TaskLaunch {
    /// Task instance id.
    pub ti_id: Uuid,
    /// DAG id.
    pub dag_id: String,
    /// Task id.
    pub task_id: String,
    /// Run id.
    pub run_id: String,
    /// Map index; -1 for an unmapped task.
    pub map_index: i32,
    /// The attempt, counted from 1.
    pub try_number: u32,
    /// Highest try number with a retry left (`retries` of the task unless raised by a clear).
    pub max_tries: u32,
    /// Whether a failure of this attempt leads to a retry (`max_tries != 0 && try_number <= max_tries`).
    pub should_retry: bool,
    /// Id of the DAG version that the run holds on to.
    pub dag_version_id: Uuid,
    /// Folder of the unpacked bundle; on `sys.path` of the task.
    pub bundle_dir: PathBuf,
    /// Name of the bundle.
    pub bundle_name: String,
    /// Content address of the bundle.
    pub bundle_version: String,
    /// The DAG file, relative to `bundle_dir`.
    pub dag_rel_path: String,
    /// Queue that the task was routed to.
    pub queue: String,
    /// Pool that it occupies slots of.
    pub pool: String,
    /// How many slots.
    pub pool_slots: u32,
    /// Effective priority.
    pub priority_weight: i64,
    /// Logical date of the run; absent for runs without one.
    pub logical_date: Option<Timestamp>,
    /// Start of the data interval.
    pub data_interval_start: Option<Timestamp>,
    /// End of the data interval.
    pub data_interval_end: Option<Timestamp>,
    /// When the run became due.
    pub run_after: Timestamp,
    /// When the run started.
    pub run_start_date: Option<Timestamp>,
    /// `scheduled`, `manual`, `backfill`, `operator_triggered`, `asset_triggered` or `asset_materialization`.
    pub run_type: String,
    /// Configuration of the run: an object or null.
    pub conf: Value,
    /// Who triggered the run.
    pub triggering_user: Option<String>,
    /// How often the run was cleared.
    pub clear_number: u32,
    /// When the run was over, where that is already so (callbacks).
    pub run_end_date: Option<Timestamp>,
    /// The asset events that the run consumed.
    pub consumed_events: Vec<AssetEventInfo>,
    /// When this attempt started (for a resumed deferral or a reschedule: when its first part did).
    pub start_date: Timestamp,
    /// XComs of an earlier attempt that the task must clear before it runs.
    pub xcom_keys_to_clear: Vec<String>,
    /// How many times this attempt was rescheduled so far.
    pub reschedule_count: u32,
    /// For a resumed deferral: the method to call.
    pub next_method: Option<String>,
    /// For a resumed deferral: its arguments, as handed out in [`TaskOutcome::Deferred`], with the trigger's event.
    pub next_kwargs: Option<Value>,
    /// Extra environment of this task only.
    pub env: Vec<(String, String)>,
    /// Working folder of the task; `None` for one that is made for the attempt and removed after it.
    pub working_dir: Option<PathBuf>,
}

impl TaskLaunch {
    /// A launch of `task_id` with first-attempt defaults; fill in what differs.
    pub fn new(ti_id: Uuid, dag_id: &str, task_id: &str, run_id: &str, start_date: Timestamp) -> Self {
        Self {
            ti_id,
            dag_id: dag_id.to_owned(),
            task_id: task_id.to_owned(),
            run_id: run_id.to_owned(),
            map_index: -1,
            try_number: 1,
            max_tries: 0,
            should_retry: false,
            dag_version_id: Uuid::nil(),
            bundle_dir: PathBuf::new(),
            bundle_name: "dags".to_owned(),
            bundle_version: String::new(),
            dag_rel_path: String::new(),
            queue: "default".to_owned(),
            pool: "default_pool".to_owned(),
            pool_slots: 1,
            priority_weight: 1,
            logical_date: None,
            data_interval_start: None,
            data_interval_end: None,
            run_after: start_date,
            run_start_date: Some(start_date),
            run_type: "manual".to_owned(),
            conf: Value::Null,
            triggering_user: None,
            clear_number: 0,
            run_end_date: None,
            consumed_events: Vec::new(),
            start_date,
            xcom_keys_to_clear: Vec::new(),
            reschedule_count: 0,
            next_method: None,
            next_kwargs: None,
            env: Vec::new(),
            working_dir: None,
        }
    }
}

/// What a finished attempt amounts to.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskOutcome {
    /// The task succeeded.
    Success {
        /// Assets that the task declares as outlets, in the guest's words (kept for asset scheduling).
        task_outlets: Value,
        /// Events for these assets.
        outlet_events: Value,
    },
    /// The task skipped itself.
    Skipped,
    /// The task removed itself (its definition is gone).
    Removed,
    /// The attempt failed.
    Failed {
        /// True when a retry is wanted; false is final whatever the try number says.
        retry: bool,
        /// A retry policy's own delay, instead of the task's `retry_delay`.
        retry_delay: Option<Duration>,
        /// One line for people: why, when known. The traceback is in the log.
        message: Option<String>,
    },
    /// A sensor in reschedule mode wants to be called again.
    UpForReschedule {
        /// When.
        at: Timestamp,
    },
    /// The task handed itself over to a trigger.
    Deferred {
        /// Class path of the trigger.
        trigger_class: String,
        /// The trigger's arguments, in the guest's serialization.
        kwargs: Value,
        /// When the trigger counts as timed out.
        timeout: Option<Duration>,
        /// Queue of the triggerer, when the trigger names one.
        queue: Option<String>,
        /// Method to resume at.
        next_method: String,
        /// Its arguments, in the guest's serialization.
        next_kwargs: Value,
    },
    /// The task waits for a person, whom it has asked before.
    AwaitingInput {
        /// How long the wait may last.
        timeout: Option<Duration>,
        /// Method to resume at.
        next_method: String,
        /// Its arguments, in the guest's serialization.
        next_kwargs: Value,
    },
}

/// How the task's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessExit {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Its zygote died, and the task was killed with it.
    ZygoteLost,
}

/// What the process used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceUsage {
    /// CPU time in user mode, of the task and the children it waited for.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Largest resident set in bytes. It includes pages that are shared with the zygote.
    pub max_rss_bytes: u64,
}

/// The whole result of [`crate::Zygote::run`].
#[derive(Debug, Clone, PartialEq)]
pub struct TaskExit {
    /// What the attempt amounts to.
    pub outcome: TaskOutcome,
    /// Downstream tasks that the task skipped (branching, short circuit): task id and map index (-1 for all).
    pub skipped_downstream: Vec<(String, i32)>,
    /// Label of a mapped task instance, when the task rendered one.
    pub rendered_map_index: Option<String>,
    /// How the process ended.
    pub exit: ProcessExit,
    /// False when the process ended without saying how the task went ("lost report"): the outcome is then `Failed`,
    /// whatever the exit code is.
    pub reported: bool,
    /// The stop that was asked for while the task ran, if any.
    pub stopped: Option<StopReason>,
    /// What it used.
    pub usage: ResourceUsage,
}

/// Why a running task is stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Someone cleared, failed or otherwise took the task instance away.
    Cancelled,
    /// The hard limit behind the guest's own `execution_timeout` passed.
    HardTimeout,
    /// The worker lost the lease of the attempt, or shuts down.
    LeaseLost,
    /// The worker shuts down and its grace is over.
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) reason: StopReason,
    pub(crate) grace: Duration,
}

/// The receiving end of a [`TaskStopper`]: goes into [`crate::Zygote::run`].
#[derive(Debug, Clone)]
pub struct TaskControl {
    pub(crate) stop: watch::Receiver<Option<Stop>>,
}

/// Stops one running task. Dropping it does not stop the task.
#[derive(Debug, Clone)]
pub struct TaskStopper {
    sender: Arc<watch::Sender<Option<Stop>>>,
}

impl TaskControl {
    /// A control and the handle that drives it.
    pub fn new() -> (TaskStopper, TaskControl) {
        let (sender, stop) = watch::channel(None);
        (TaskStopper { sender: Arc::new(sender) }, TaskControl { stop })
    }
}

impl TaskStopper {
    /// SIGTERM to the task's process (the SDK calls the operator's `on_kill`), and after `grace` SIGKILL to all its
    /// processes. `grace` zero kills at once. A later call can only shorten the grace: the first reason stays.
    pub fn stop(&self, reason: StopReason, grace: Duration) {
        self.sender.send_modify(|stop| match stop {
            None => *stop = Some(Stop { reason, grace }),
            Some(earlier) => earlier.grace = earlier.grace.min(grace),
        });
    }
}

/// One line of a task's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// When the line was written, or received where the guest does not say.
    pub at: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// Logger name: `task.stdout` and `task.stderr` for the plain streams, `tradewind.guest` for our own remarks.
    pub logger: String,
    /// The text, without the line end.
    pub message: String,
    /// Everything else (structured fields, `error_detail` with the traceback): an object.
    pub fields: serde_json::Map<String, Value>,
}

/// Severity of a [`LogLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// `DEBUG` and `NOTSET`.
    Debug,
    /// `INFO`.
    Info,
    /// `WARNING`.
    Warning,
    /// `ERROR` and exceptions.
    Error,
    /// `CRITICAL`.
    Critical,
}

/// One file to parse.
#[derive(Debug, Clone)]
pub struct ParseRequest {
    /// The DAG folder: on `sys.path` of the parsed file.
    pub dags_root: PathBuf,
    /// The file, absolute or relative to `dags_root`.
    pub file: PathBuf,
    /// Name of the bundle that the file belongs to.
    pub bundle_name: String,
    /// Wall-clock limit of the whole parse.
    pub timeout: Duration,
    /// How much memory the file may ask for beyond that of the warm interpreter.
    pub memory_limit_bytes: u64,
    /// Variables that top-level code may read.
    pub variables: BTreeMap<String, String>,
    /// Connections that top-level code may read.
    pub connections: BTreeMap<String, ConnectionInfo>,
    /// Answers for variables and connections that are not among these; without it, there are no others.
    pub host: Option<Arc<dyn ParseHost>>,
    /// Whether [`ParsedFile::notes`] are wanted.
    pub with_notes: bool,
}

impl ParseRequest {
    /// A request with the usual limits: 30 s and 1 GiB.
    pub fn new(dags_root: impl Into<PathBuf>, file: impl Into<PathBuf>) -> Self {
        Self {
            dags_root: dags_root.into(),
            file: file.into(),
            bundle_name: "dags".to_owned(),
            timeout: Duration::from_secs(30),
            memory_limit_bytes: 1 << 30,
            variables: BTreeMap::new(),
            connections: BTreeMap::new(),
            host: None,
            with_notes: false,
        }
    }
}

/// What a file held.
#[derive(Debug, Clone, Default)]
pub struct ParsedFile {
    /// Its DAGs, in Airflow's own serialization (`{"__version": 3, "dag": {...}}`), sorted by DAG id. A timetable of a
    /// class that Airflow does not bring along is `{"__type": class path, "__var": data, "periodic": bool}`; it is asked by
    /// [`crate::Parser::evaluate_timetable`].
    pub dags: Vec<Value>,
    /// Why it, or a part of it, could not be loaded. DAGs of the same file that are sound are in `dags` all the same.
    pub import_error: Option<ImportError>,
    /// Python warnings and remarks, one line each.
    pub warnings: Vec<String>,
    /// Names that it, or a local module it imports, should no longer use.
    pub deprecations: Vec<Deprecation>,
    /// Local modules below `dags_root` that the file imported (absolute paths, without the file itself).
    pub imported_files: Vec<PathBuf>,
    /// What its author asks beyond the serialized form, where the request wanted it.
    pub notes: Option<FileNotes>,
    /// True when Airflow's safe mode found that the file mentions no DAG at all and did not run it.
    pub skipped: bool,
    /// Wall time of the parse.
    pub duration: Duration,
}

/// Why a file could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// What went wrong, in a line or two, with a hint where there is one.
    pub message: String,
    /// Line of the DAG file, when known.
    pub line: Option<u32>,
    /// The traceback or the last output, for the details view.
    pub traceback: Option<String>,
}

/// Why the guest machinery (not user code) could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The interpreter did not start, or ended while it loaded the SDK.
    #[error("start the Python guest {python}: {reason}")]
    Start {
        /// The interpreter.
        python: String,
        /// What happened, with the end of its output.
        reason: String,
    },
    /// The zygote is gone. Start another one and run the attempt there: it has not begun.
    #[error("the Python zygote is gone: {0}")]
    ZygoteLost(String),
    /// An operating system call failed.
    #[error("{action}: {source}")]
    Os {
        /// What was being done.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}
