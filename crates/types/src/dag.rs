//! The model of a DAG: what the engine schedules and a worker runs, whatever language the DAG file is in.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    AssetRef, BundleHash, DagId, Expand, NativeOperator, PoolName, QueueName, StartTrigger, TaskId, Timestamp,
    Timetable, TriggerRule, VersionHash, WeightRule,
};

/// The pool that every installation has; it cannot be deleted.
pub const DEFAULT_POOL: &str = "default_pool";
/// The queue of a task that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// A DAG, serialized from an Airflow DAG file or read from YAML. Defaults are Airflow's (semantics E9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DagSpec {
    /// Its id.
    pub dag_id: DagId,
    /// A name to show, when it has one.
    #[serde(default)]
    pub display_name: Option<String>,
    /// One line.
    #[serde(default)]
    pub description: Option<String>,
    /// Markdown.
    #[serde(default)]
    pub doc_md: Option<String>,
    /// When runs are due.
    #[serde(default)]
    pub timetable: Timetable,
    /// The schedule as people read it, e.g. `0 2 * * *` or `@daily`.
    #[serde(default)]
    pub schedule_text: Option<String>,
    /// IANA zone of the DAG's dates.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The first instant that runs may cover.
    #[serde(default)]
    pub start_date: Option<Timestamp>,
    /// The last instant that runs may cover.
    #[serde(default)]
    pub end_date: Option<Timestamp>,
    /// Whether missed runs are made up for.
    #[serde(default)]
    pub catchup: bool,
    /// Runs of the DAG that may be active at once.
    #[serde(default = "sixteen")]
    pub max_active_runs: u32,
    /// Task instances that may execute at once in one run (since Airflow 3.0 per run, not per DAG).
    #[serde(default = "sixteen")]
    pub max_active_tasks: u32,
    /// Consecutive failed runs that pause the DAG; 0 turns it off.
    #[serde(default)]
    pub max_consecutive_failed_dag_runs: u32,
    /// A run that is older fails, its unfinished tasks are skipped.
    #[serde(default)]
    pub dagrun_timeout: Option<Duration>,
    /// Whether one failed task ends the run.
    #[serde(default)]
    pub fail_fast: bool,
    /// Overrides the installation's default of pausing new DAGs.
    #[serde(default)]
    pub is_paused_upon_creation: Option<bool>,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Owners of its tasks.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Default params with their JSON schema, as Airflow serializes them.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// Task instances that may execute at once over all runs of the DAG (Tradewind; Airflow has no such limit since 3.0).
    #[serde(default)]
    pub task_limit: Option<u32>,
    /// Whether it has an `on_success_callback`.
    #[serde(default)]
    pub on_success_callback: bool,
    /// Whether it has an `on_failure_callback`.
    #[serde(default)]
    pub on_failure_callback: bool,
    /// Deadline alerts.
    #[serde(default)]
    pub deadlines: Vec<DeadlineSpec>,
    /// Assets that it names in its schedule or its tasks, with what it says of them.
    #[serde(default)]
    pub assets: Vec<crate::Asset>,
    /// Its tasks, in topological order of definition; task lookups go by position.
    pub tasks: Vec<TaskSpec>,
    /// Its task groups, parents before children.
    #[serde(default)]
    pub task_groups: Vec<TaskGroupSpec>,
    /// Where it was defined.
    pub source: DagSource,
    /// The Python environment of its own that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<crate::Environment>,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn sixteen() -> u32 {
    16
}

impl DagSpec {
    /// A DAG with Airflow's defaults and no tasks yet.
    pub fn new(dag_id: impl Into<DagId>, source: DagSource) -> Self {
        Self {
            dag_id: dag_id.into(),
            display_name: None,
            description: None,
            doc_md: None,
            timetable: Timetable::None,
            schedule_text: None,
            timezone: utc(),
            start_date: None,
            end_date: None,
            catchup: false,
            max_active_runs: sixteen(),
            max_active_tasks: sixteen(),
            max_consecutive_failed_dag_runs: 0,
            dagrun_timeout: None,
            fail_fast: false,
            is_paused_upon_creation: None,
            tags: Vec::new(),
            owners: Vec::new(),
            params: BTreeMap::new(),
            task_limit: None,
            on_success_callback: false,
            on_failure_callback: false,
            deadlines: Vec::new(),
            assets: Vec::new(),
            tasks: Vec::new(),
            task_groups: Vec::new(),
            source,
            environment: None,
        }
    }

    /// The position of a task in [`DagSpec::tasks`].
    pub fn task_index(&self, task_id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.task_id.as_str() == task_id)
    }

    /// A task by id.
    pub fn task(&self, task_id: &str) -> Option<&TaskSpec> {
        self.tasks.iter().find(|task| task.task_id.as_str() == task_id)
    }
}

/// A param of a DAG or task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its default.
    #[serde(default)]
    pub value: serde_json::Value,
    /// One line for forms.
    #[serde(default)]
    pub description: Option<String>,
    /// JSON schema that values must fit.
    #[serde(default)]
    pub schema: serde_json::Value,
}

/// Which language a DAG is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// An Airflow DAG file.
    Python,
    /// A Tradewind YAML DAG.
    Yaml,
}

/// Where a DAG was defined.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DagSource {
    /// Its language.
    pub kind: SourceKind,
    /// Path below the DAG folder, with `/`.
    pub rel_path: String,
}

/// A version of a DAG: content-addressed, immutable; a run keeps the one that it started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DagVersion {
    /// Its content address.
    pub hash: VersionHash,
    /// 1, 2, 3... within the DAG; 0 until the leader numbered it.
    pub number: u32,
    /// The bundle that a worker needs to run its Python tasks; none for a YAML DAG.
    pub bundle: Option<BundleHash>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// What it says.
    pub spec: DagSpec,
}

/// A task of a DAG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id, task group prefixes included.
    pub task_id: TaskId,
    /// What runs.
    pub operator: Operator,
    /// Direct upstream tasks.
    #[serde(default)]
    pub upstream: Vec<TaskId>,
    /// When it may start.
    #[serde(default = "all_success")]
    pub trigger_rule: TriggerRule,
    /// Its pool.
    #[serde(default = "default_pool")]
    pub pool: PoolName,
    /// Slots that it takes there; at least 1.
    #[serde(default = "one")]
    pub pool_slots: u32,
    /// Its queue.
    #[serde(default = "default_queue")]
    pub queue: QueueName,
    /// Its own weight.
    #[serde(default = "one_weight")]
    pub priority_weight: i64,
    /// How the effective priority follows from it.
    #[serde(default = "downstream")]
    pub weight_rule: WeightRule,
    /// When it is tried again.
    #[serde(default)]
    pub retry: RetrySpec,
    /// A longer attempt fails.
    #[serde(default)]
    pub execution_timeout: Option<Duration>,
    /// Whether the previous run's instance must have succeeded.
    #[serde(default)]
    pub depends_on_past: bool,
    /// Whether the previous run's direct downstream instances must have, too.
    #[serde(default)]
    pub wait_for_downstream: bool,
    /// Whether the first ever instance of it ignores `depends_on_past`.
    #[serde(default)]
    pub ignore_first_depends_on_past: bool,
    /// Instances that may execute at once over all runs of the DAG.
    #[serde(default)]
    pub max_active_tis_per_dag: Option<u32>,
    /// Instances that may execute at once in one run.
    #[serde(default)]
    pub max_active_tis_per_dagrun: Option<u32>,
    /// Whether it is a setup task.
    #[serde(default)]
    pub is_setup: bool,
    /// Whether it is a teardown task.
    #[serde(default)]
    pub is_teardown: bool,
    /// Whether a failing teardown fails the run.
    #[serde(default)]
    pub on_failure_fail_dagrun: bool,
    /// Its own start date.
    #[serde(default)]
    pub start_date: Option<Timestamp>,
    /// Its own end date.
    #[serde(default)]
    pub end_date: Option<Timestamp>,
    /// Its owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// Present on a mapped task: what it is mapped over.
    #[serde(default)]
    pub expand: Option<Expand>,
    /// The closest mapped task group around it; its [`TaskGroupSpec::expand`] says how many instances there are.
    #[serde(default)]
    pub mapped_group: Option<String>,
    /// Present on a task that starts in its trigger (`start_from_trigger`).
    #[serde(default)]
    pub start_trigger: Option<StartTrigger>,
    /// Assets and aliases that it updates.
    #[serde(default)]
    pub outlets: Vec<AssetRef>,
    /// Assets that it reads.
    #[serde(default)]
    pub inlets: Vec<AssetRef>,
    /// Limits that it shares with whatever names the same keys (Tradewind).
    #[serde(default)]
    pub concurrency: Vec<ConcurrencyLimit>,
    /// Whether it has an `on_failure_callback` or a failure e-mail: run by a callback when its worker is lost.
    #[serde(default)]
    pub on_failure_callback: bool,
    /// Whether it has an `on_retry_callback` or a retry e-mail, likewise.
    #[serde(default)]
    pub on_retry_callback: bool,
    /// Whether its skipping waits for what it depends on in the past (`wait_for_past_depends_before_skipping`).
    #[serde(default)]
    pub wait_for_past_depends_before_skipping: bool,
    /// Present on an `ExternalTaskMarker`: what clearing it clears, too.
    #[serde(default)]
    pub marker: Option<ExternalMarker>,
    /// Whether `return_value` is pushed.
    #[serde(default = "yes")]
    pub do_xcom_push: bool,
}

fn all_success() -> TriggerRule {
    TriggerRule::AllSuccess
}
fn default_pool() -> PoolName {
    PoolName::from(DEFAULT_POOL)
}
fn default_queue() -> QueueName {
    QueueName::from(DEFAULT_QUEUE)
}
const fn one() -> u32 {
    1
}
const fn one_weight() -> i64 {
    1
}
fn downstream() -> WeightRule {
    WeightRule::Downstream
}
const fn yes() -> bool {
    true
}

impl TaskSpec {
    /// A task with Airflow's defaults.
    pub fn new(task_id: impl Into<TaskId>, operator: Operator) -> Self {
        Self {
            task_id: task_id.into(),
            operator,
            upstream: Vec::new(),
            trigger_rule: TriggerRule::AllSuccess,
            pool: default_pool(),
            pool_slots: 1,
            queue: default_queue(),
            priority_weight: 1,
            weight_rule: WeightRule::Downstream,
            retry: RetrySpec::default(),
            execution_timeout: None,
            depends_on_past: false,
            wait_for_downstream: false,
            ignore_first_depends_on_past: false,
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
            is_setup: false,
            is_teardown: false,
            on_failure_fail_dagrun: false,
            start_date: None,
            end_date: None,
            owner: None,
            expand: None,
            mapped_group: None,
            start_trigger: None,
            outlets: Vec::new(),
            inlets: Vec::new(),
            concurrency: Vec::new(),
            on_failure_callback: false,
            on_retry_callback: false,
            wait_for_past_depends_before_skipping: false,
            marker: None,
            do_xcom_push: true,
        }
    }
}

/// What a task runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Operator {
    /// Nothing: the engine marks it successful without a worker (an `EmptyOperator` without callbacks or assets).
    Empty,
    /// An Airflow operator, run by a Python guest.
    Python {
        /// The class, e.g. `PythonOperator`; what listings show.
        class: String,
        /// The module of the class.
        module: String,
    },
    /// A native operator.
    Native(NativeOperator),
}

impl Operator {
    /// What listings show.
    pub fn name(&self) -> &str {
        match self {
            Self::Empty => "EmptyOperator",
            Self::Python { class, .. } => class,
            Self::Native(native) => native.kind(),
        }
    }
}

/// The retry rule of a task (semantics E5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetrySpec {
    /// Retries after the first attempt.
    pub retries: u32,
    /// The first delay.
    pub delay: Duration,
    /// The factor between delays; 0 or 1 keeps them equal.
    pub exponential_backoff: f64,
    /// Upper bound with back-off.
    pub max_delay: Option<Duration>,
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { retries: 0, delay: Duration::from_secs(300), exponential_backoff: 0.0, max_delay: None }
    }
}

/// A task group: a name around tasks, for display and, later, for mapping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskGroupSpec {
    /// Its id with all prefixes.
    pub group_id: String,
    /// The group around it.
    #[serde(default)]
    pub parent: Option<String>,
    /// The tasks directly in it.
    #[serde(default)]
    pub tasks: Vec<TaskId>,
    /// One line.
    #[serde(default)]
    pub tooltip: Option<String>,
    /// Present on a mapped task group: what it is mapped over.
    #[serde(default)]
    pub expand: Option<Expand>,
}

/// A limit on how many task instances execute at once among all that name its key, in any DAG.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyLimit {
    /// The key, e.g. `warehouse-writes`.
    pub key: String,
    /// How many; where tasks disagree, each keeps to its own number.
    pub limit: u32,
}

/// A task of another DAG that depends on this one (Airflow's `ExternalTaskMarker`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalMarker {
    /// The DAG.
    pub dag_id: DagId,
    /// Its task; the whole run without one.
    pub task_id: Option<TaskId>,
    /// How many DAGs deep clearing goes.
    pub recursion_depth: u32,
}

/// What a deadline counts from (Airflow `sdk/definitions/deadline.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeadlineReference {
    /// The run's logical date.
    LogicalDate,
    /// When the run was queued.
    QueuedAt,
    /// A moment.
    Fixed {
        /// It.
        at: Timestamp,
    },
    /// When the run was queued plus the average runtime of the last runs.
    AverageRuntime {
        /// Runs to average over.
        max_runs: u32,
        /// Fewer than these: no deadline.
        min_runs: u32,
    },
}

/// A deadline alert of a DAG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadlineSpec {
    /// Its name, where it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// What it counts from.
    pub reference: DeadlineReference,
    /// How much later (or earlier) it is, in microseconds.
    pub interval_micros: i64,
    /// The callback, as the DAG file's serialization has it.
    pub callback: serde_json::Value,
}
