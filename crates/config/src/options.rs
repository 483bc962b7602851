//! Every option with its default. A section a role; durations are in seconds and say so in their names.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where this installation keeps its files.
    pub home: HomeOptions,
    /// The database.
    pub store: StoreOptions,
    /// The queue.
    pub queue: QueueOptions,
    /// The scheduler.
    pub scheduler: SchedulerOptions,
    /// Values that tasks hand on.
    pub xcom: XComOptions,
    /// What a new DAG gets, and limits.
    pub core: CoreOptions,
    /// The DAG processor.
    pub dags: DagsOptions,
    /// The worker.
    pub worker: WorkerOptions,
    /// The Python guest.
    pub python: PythonOptions,
    /// How clients (CLI, workers, DAG processors) reach the schedulers.
    pub client: ClientOptions,
    /// Credentials and keys.
    pub security: SecurityOptions,
    /// TLS.
    pub tls: TlsOptions,
    /// Logs of tasks and of Tradewind itself.
    pub logs: LogsOptions,
    /// Traces and metrics.
    pub telemetry: TelemetryOptions,
}

/// `[home]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomeOptions {
    /// Folder for the SQLite database, logs, caches and the local token; relative paths in other options lie below the
    /// current folder, not below this one.
    pub dir: PathBuf,
}

impl Default for HomeOptions {
    fn default() -> Self {
        Self { dir: PathBuf::from(".tradewind") }
    }
}

/// `[store]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreOptions {
    /// `postgres://user:password@host:port/database` or `sqlite:///path`; empty means `tradewind.db` in the home folder.
    pub url: String,
    /// Connections for reads; 0 means 4.
    pub read_connections: u32,
    /// Folder for task logs instead of the database; shared between schedulers when there are several. SQLite always
    /// uses a folder: `logs` in the home folder when this is empty.
    pub logs_dir: Option<PathBuf>,
}

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueOptions {
    /// `redis://…`, `rediss://…` or `memory:` (standalone only).
    pub url: String,
    /// Names this installation's keys, so that several can share a Redis.
    pub namespace: String,
    /// Hints kept in the queue at most, a queue; the rest waits in the store.
    pub window: u32,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { url: "memory:".to_owned(), namespace: "default".to_owned(), window: 10_000 }
    }
}

/// `[scheduler]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerOptions {
    /// Its name in status and leases; the host name and process id when empty.
    pub name: String,
    /// Address that the gRPC server binds.
    pub listen: String,
    /// Address that workers and clients reach it at; made from `listen` when empty.
    pub advertise: String,
    /// Task instances that may execute at once in all.
    pub parallelism: u32,
    /// Seconds of the leader lease.
    pub leader_lease_secs: f64,
    /// Seconds of an attempt's lease without renewal.
    pub task_lease_secs: f64,
    /// Lost workers in a row after which a task instance fails for good.
    pub max_worker_losses: u32,
    /// Upper bound of retry delays with back-off, in seconds.
    pub max_retry_delay_secs: f64,
    /// Seconds between comparisons of queued task instances with the queue.
    pub repair_secs: f64,
    /// Instances that a mapped task may have; a longer list is refused when it is pushed.
    pub max_map_length: u32,
    /// Whether `execution_timeout` bounds a try over all its deferrals; in Airflow only each part of it that runs.
    pub execution_timeout_spans_deferral: bool,
    /// Whether the timeout of a sensor in reschedule mode goes on over its retries; in Airflow each starts anew.
    pub sensor_timeout_spans_retries: bool,
    /// Largest log of one attempt in bytes; what comes after is dropped, with a mark.
    pub log_max_bytes: u64,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            listen: "127.0.0.1:7070".to_owned(),
            advertise: String::new(),
            parallelism: 1024,
            leader_lease_secs: 3.0,
            task_lease_secs: 15.0,
            max_worker_losses: 3,
            max_retry_delay_secs: 86_400.0,
            repair_secs: 1.0,
            max_map_length: 1024,
            execution_timeout_spans_deferral: false,
            sensor_timeout_spans_retries: false,
            log_max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// `[xcom]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XComOptions {
    /// Largest XCom, in bytes of JSON, that is kept in the database; what is larger goes to `storage_url`. The
    /// scheduler's counts.
    pub inline_max_bytes: u64,
    /// Largest XCom in bytes of JSON. A worker has to hold about three times as much for a moment.
    pub max_bytes: u64,
    /// Where large XComs are kept: `file:///folder` or `s3://bucket/prefix`, the same for the scheduler and all workers.
    /// Empty means `xcoms` in the home folder for `tradewind standalone`, and for other roles that XComs larger than
    /// `inline_max_bytes` fail their task.
    pub storage_url: String,
    /// Options of S3 that win over the `AWS_*` variables: `endpoint`, `region`, `access_key_id`, `secret_access_key`...
    pub storage_options: BTreeMap<String, String>,
    /// Seconds between looks for stored values whose XCom is gone, and from the end of the XCom to the removal of its
    /// value.
    pub sweep_secs: f64,
    /// Seconds after which a stored value that no XCom ever referred to is removed: one whose worker died meanwhile.
    pub orphan_secs: f64,
}

impl std::fmt::Debug for XComOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The storage options may hold secrets.
        f.debug_struct("XComOptions").field("storage_url", &self.storage_url).finish_non_exhaustive()
    }
}

impl Default for XComOptions {
    fn default() -> Self {
        Self {
            inline_max_bytes: 1024 * 1024,
            max_bytes: 256 * 1024 * 1024,
            storage_url: String::new(),
            storage_options: BTreeMap::new(),
            sweep_secs: 60.0,
            orphan_secs: 86_400.0,
        }
    }
}

/// `[core]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoreOptions {
    /// Whether a new DAG starts paused, as in Airflow.
    pub dags_are_paused_at_creation: bool,
    /// Zone of DAGs without one; also Airflow's `default_timezone` in guests.
    pub default_timezone: String,
    /// Whether cron strings and timedeltas mean data intervals (Airflow `[scheduler] create_cron_data_intervals`).
    pub create_cron_data_intervals: bool,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            dags_are_paused_at_creation: true,
            default_timezone: "UTC".to_owned(),
            create_cron_data_intervals: false,
        }
    }
}

/// `[dags]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DagsOptions {
    /// The DAG folder.
    pub folder: PathBuf,
    /// Seconds between full scans; changes are noticed at once where the system tells of them.
    pub scan_secs: f64,
    /// Seconds that parsing one file may take.
    pub parse_timeout_secs: f64,
    /// Memory that parsing one file may take, in MiB.
    pub parse_memory_mib: u64,
    /// Files parsed at once.
    pub parse_processes: u32,
    /// Largest file that a bundle takes along, in MiB; larger ones are left out with a warning.
    pub bundle_file_max_mib: u64,
    /// How `.airflowignore` files are read: `glob` (as `.gitignore`) or `regexp` (Airflow `[core] dag_ignore_file_syntax`).
    pub ignore_file_syntax: String,
}

impl Default for DagsOptions {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("dags"),
            scan_secs: 10.0,
            parse_timeout_secs: 30.0,
            parse_memory_mib: 2048,
            parse_processes: 2,
            bundle_file_max_mib: 16,
            ignore_file_syntax: "glob".to_owned(),
        }
    }
}

/// `[worker]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerOptions {
    /// Its name, unique among live workers; host name and process id when empty.
    pub name: String,
    /// Queues that it serves.
    pub queues: Vec<String>,
    /// Task instances that it runs at once; 0 means 4 a core.
    pub slots: u32,
    /// Triggers that it runs at once for deferred task instances; 0 runs none.
    pub trigger_slots: u32,
    /// Seconds that a callback may take before it is killed.
    pub callback_timeout_secs: f64,
    /// Its working folder: bundle cache, scratch folders; `worker` in the home folder when empty.
    pub dir: Option<PathBuf>,
    /// Folder that all Python tasks start in, as they do in an Airflow worker; when empty, each try starts in an empty folder
    /// of its own, which goes with it.
    pub task_dir: Option<PathBuf>,
    /// Seconds that running tasks get to finish after SIGTERM; then they are stopped and given back.
    pub drain_grace_secs: f64,
    /// Seconds between SIGTERM and SIGKILL of a task that is stopped.
    pub kill_grace_secs: f64,
    /// Environment that tasks see, besides `PATH`, `HOME`, `LANG` and `TZ`.
    pub env: BTreeMap<String, String>,
    /// Bytes of the bundle cache before the least recently used bundles go.
    pub bundle_cache_bytes: u64,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            queues: vec!["default".to_owned()],
            slots: 0,
            trigger_slots: 1000,
            callback_timeout_secs: 600.0,
            dir: None,
            task_dir: None,
            drain_grace_secs: 30.0,
            kill_grace_secs: 5.0,
            env: BTreeMap::new(),
            bundle_cache_bytes: 4 << 30,
        }
    }
}

/// `[python]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PythonOptions {
    /// The interpreter of the prepared environment; `.venv/bin/python` when empty. A worker or DAG processor without one
    /// runs native tasks and YAML DAGs only.
    pub interpreter: Option<PathBuf>,
    /// Folder that holds the `tradewind_guest` package; `python` beside the binary's checkout when empty.
    pub guest_dir: Option<PathBuf>,
    /// The `uv` that builds the environments of DAG files; when empty that beside the interpreter, then that on `PATH`.
    pub uv: Option<PathBuf>,
    /// Folder for the environments of DAG files, which processes of one machine may share; `environments` in the worker's
    /// folder (`worker.dir`) or, for a DAG processor of its own, in `dag-processor` of the home folder when empty.
    pub environments_dir: Option<PathBuf>,
    /// Bytes of all environments in that folder before the least recently used ones that nobody uses go.
    pub environment_cache_bytes: u64,
    /// Seconds after which the warm Python process of an environment that nobody uses is ended.
    pub environment_idle_secs: f64,
    /// Warm Python processes of environments that a worker keeps at most while nobody uses them.
    pub environment_warm: u32,
    /// Seconds that building an environment may take.
    pub build_timeout_secs: f64,
    /// How long a worker keeps a DAG file loaded whose tasks run often, so that they need not load it each. Clocks and files
    /// that its top level reads are at most that old for a task. 0 has every task load its file.
    pub warm_dag_secs: f64,
}

impl Default for PythonOptions {
    fn default() -> Self {
        Self {
            interpreter: None,
            guest_dir: None,
            warm_dag_secs: 60.0,
            uv: None,
            environments_dir: None,
            environment_cache_bytes: 10 << 30,
            environment_idle_secs: 300.0,
            environment_warm: 8,
            build_timeout_secs: 600.0,
        }
    }
}

/// `[client]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// Addresses of schedulers; `http://127.0.0.1:7070` when empty.
    pub schedulers: Vec<String>,
}

/// `[security]`
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityOptions {
    /// What the CLI and other administrators send. At least 32 characters.
    pub admin_token: String,
    /// What workers send. At least 32 characters, not the admin's.
    pub worker_token: String,
    /// What DAG processors send. At least 32 characters, not the admin's.
    pub processor_token: String,
    /// Fernet keys for variables and connections, comma-separated: the first encrypts, all decrypt.
    pub fernet_key: String,
}

impl std::fmt::Debug for SecurityOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecurityOptions { … }")
    }
}

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsOptions {
    /// PEM certificate chain of this process.
    pub cert: Option<PathBuf>,
    /// PEM key of this process.
    pub key: Option<PathBuf>,
    /// PEM certificates that the other side is checked against; a scheduler with one asks clients for certificates.
    pub ca: Option<PathBuf>,
}

/// `[logs]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogsOptions {
    /// Filter of Tradewind's own log, e.g. `info` or `info,tradewind_worker=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for LogsOptions {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

/// `[telemetry]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// OTLP gRPC endpoint for traces, e.g. `http://127.0.0.1:4317`; off when empty.
    pub otlp_endpoint: String,
}
