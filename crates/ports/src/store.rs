//! The store port: the truth. Two kinds of calls: the leader's writes, guarded by its term, and everybody's reads.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tradewind_types::{
    Asset, AssetEvent, AssetKey, AuditEvent, Backfill, BackfillItem, BlobHash, Bundle, BundleHash, Callback,
    Connection, DagId, DagRow, DagRun, DagVersion, HumanInput, ImportError, LeaderInfo, Pool, RunId, RunState,
    TaskInstance, TaskState, TaskTry, Term, TiId, Timestamp, Variable, VersionHash, WriteSet, XCom,
};
use uuid::Uuid;

use crate::{Listing, Page, StoreError};

/// Whether the schema fits this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Migrations that this binary knows and the store has.
    pub applied: Vec<String>,
    /// Migrations that this binary knows and the store lacks.
    pub pending: Vec<String>,
    /// Migrations that the store has and this binary does not know: the store is newer.
    pub unknown: Vec<String>,
}

impl SchemaStatus {
    /// Whether the binary can run on it.
    pub fn is_ready(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty()
    }
}

/// What a leader loads at the start of its term; the engine's `Snapshot` is made of it.
#[derive(Clone, Debug, Default)]
pub struct StoreSnapshot {
    /// Every DAG with its current version.
    pub dags: Vec<(DagRow, Arc<DagVersion>)>,
    /// Other versions that `runs` name.
    pub versions: Vec<Arc<DagVersion>>,
    /// Runs that are not over, and of each DAG its last runs: see [`Store::load`].
    pub runs: Vec<DagRun>,
    /// The task instances of `runs`.
    pub task_instances: Vec<TaskInstance>,
    /// Every pool.
    pub pools: Vec<Pool>,
    /// Every asset.
    pub assets: Vec<Asset>,
    /// The assets that events of an alias were attached to.
    pub asset_aliases: Vec<(String, AssetKey)>,
    /// Backfills that are not completed.
    pub backfills: Vec<Backfill>,
    /// Callbacks that are not over, each with its run; the versions of those runs are in `versions`, too.
    pub callbacks: Vec<(Callback, DagRun)>,
    /// One more than the highest run number.
    pub next_run_no: u64,
    /// One more than the highest asset event number.
    pub next_event_no: u64,
    /// One more than the highest backfill number.
    pub next_backfill_no: u64,
}

/// Which DAGs to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DagFilter {
    /// Only ids that contain this.
    pub pattern: Option<String>,
    /// Also stale ones.
    pub include_stale: bool,
    /// Only paused or only unpaused ones.
    pub paused: Option<bool>,
}

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// Of one DAG.
    pub dag_id: Option<DagId>,
    /// In one of these states; any when empty.
    pub states: Vec<RunState>,
    /// With a logical date (or, where null, `run_after`) from here.
    pub from: Option<Timestamp>,
    /// Up to here.
    pub to: Option<Timestamp>,
}

/// Which task instances to list, in run order, then task order of creation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskInstanceFilter {
    /// Of one DAG.
    pub dag_id: Option<DagId>,
    /// Of one run.
    pub run_id: Option<RunId>,
    /// Of one task.
    pub task_id: Option<String>,
    /// In one of these states; any when empty.
    pub states: Vec<TaskState>,
}

/// Which asset events to list, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssetEventFilter {
    /// Of the asset with this name.
    pub name: Option<String>,
    /// Of the asset with this URI.
    pub uri: Option<String>,
    /// That came through this alias.
    pub alias: Option<String>,
    /// Made by this DAG.
    pub source_dag_id: Option<DagId>,
    /// Made in this run (of `source_dag_id`).
    pub source_run_id: Option<RunId>,
    /// Made by this task (of `source_dag_id`).
    pub source_task_id: Option<String>,
    /// At or after.
    pub after: Option<Timestamp>,
    /// Before.
    pub before: Option<Timestamp>,
    /// Oldest first instead.
    pub ascending: bool,
}

/// Which questions to people to list, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HumanInputFilter {
    /// Of one DAG.
    pub dag_id: Option<DagId>,
    /// Of one run.
    pub run_id: Option<RunId>,
    /// Only answered or only open ones.
    pub answered: Option<bool>,
}

/// Which callbacks to list, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallbackFilter {
    /// Of one DAG.
    pub dag_id: Option<DagId>,
    /// Of one run.
    pub run_id: Option<RunId>,
}

/// Selects XComs of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct XComQuery {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// Only of this task.
    pub task_id: Option<String>,
    /// Only of this map index.
    pub map_index: Option<i32>,
    /// Only with this key.
    pub key: Option<String>,
    /// Also earlier runs of the DAG, the latest with the XCom wins (`include_prior_dates`).
    pub include_prior: bool,
}

/// The truth. Adapters keep every value exactly and never decide anything. Exactly means instants to the microsecond, and
/// text but for U+0000, which becomes U+FFFD (JSON values keep it).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- schema -----------------------------------------------------------------------------------------------------

    /// Compares the schema with this binary.
    async fn schema_status(&self) -> Result<SchemaStatus, StoreError>;

    /// Brings the schema up to date; safe to run from several processes at once.
    async fn migrate(&self) -> Result<SchemaStatus, StoreError>;

    /// A round trip, for health checks.
    async fn ping(&self) -> Result<Duration, StoreError>;

    // --- leadership -------------------------------------------------------------------------------------------------

    /// Takes the lease of `shard` if it is free or has run out, by the store's clock, raising the term by one. `None`
    /// when somebody else holds it. Kills a frozen transaction of the former holder where the store can (Postgres).
    async fn acquire_lease(
        &self,
        shard: i32,
        owner: &str,
        incarnation: Uuid,
        address: &str,
        ttl: Duration,
    ) -> Result<Option<LeaderInfo>, StoreError>;

    /// Extends the lease; `false` when the term is over.
    async fn renew_lease(&self, shard: i32, term: Term, ttl: Duration) -> Result<bool, StoreError>;

    /// Gives the lease up at once, so that a standby need not wait for it to run out.
    async fn release_lease(&self, shard: i32, term: Term) -> Result<(), StoreError>;

    /// Who leads, if the lease has not run out.
    async fn leader(&self, shard: i32) -> Result<Option<LeaderInfo>, StoreError>;

    // --- the leader's writes ----------------------------------------------------------------------------------------

    /// Loads what the engine needs: every DAG with its current version; all runs that are not over, with their task
    /// instances; of each DAG also its latest run of type `scheduled` (by logical date, else `run_after`) and its finished
    /// runs with a later logical date than that one; every version that those runs name; the pools, assets and aliases; the
    /// backfills that are not completed; the callbacks that are not over.
    ///
    /// A DAG looks back when its current version, or that of an active run, has a task that depends on the past or waits
    /// for downstream. Of such a DAG all runs come with task instances, and so does every finished run with a logical date
    /// from the last finished one before the earliest active one on: the last one that is not manual, if there is such a
    /// one, since past dependence passes over manual runs where the DAG catches up.
    async fn load(&self, shard: i32) -> Result<StoreSnapshot, StoreError>;

    /// Commits rows in one transaction that first checks that `term` still holds the lease of `shard`
    /// ([`StoreError::StaleTerm`] otherwise). Durable when it returns. The same set may be committed again under the same
    /// term, e.g. after [`StoreError::Unavailable`], whose outcome is unknown. A change of a row that the store does not
    /// have is [`StoreError::Broken`], a second run with the same id or logical date [`StoreError::Conflict`], and so is a
    /// row that names a version, run, task instance, backfill or asset event that is neither stored nor in the set; either
    /// way nothing is written. Of a run, `run_type`, `conf`, `state`, `version`, `queued_at`, `start_date`, `end_date`,
    /// `clear_number`, `note`, `backfill` and `missed_deadlines` can change; of a task instance the second group of its
    /// fields and `map_index`; of a callback all but its id and run, of a backfill all but its number and DAG.
    async fn commit(&self, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError>;

    // --- other guarded writes ---------------------------------------------------------------------------------------

    /// Stores blobs that are missing; the hash was checked by the caller.
    async fn put_blobs(&self, blobs: &[(BlobHash, Vec<u8>)]) -> Result<(), StoreError>;

    /// Which of `hashes` the store lacks.
    async fn missing_blobs(&self, hashes: &[BlobHash]) -> Result<Vec<BlobHash>, StoreError>;

    /// Stores a bundle; its blobs must be there.
    async fn put_bundle(&self, bundle: &Bundle) -> Result<(), StoreError>;

    /// Replaces what is known of one DAG file: its import errors.
    async fn set_import_errors(&self, rel_path: &str, errors: &[ImportError]) -> Result<(), StoreError>;

    /// The rendered template fields of an attempt, as a JSON object.
    async fn put_rendered(&self, ti: TiId, fields: &serde_json::Value) -> Result<(), StoreError>;

    /// Deletes one XCom; `false` when there was none.
    async fn delete_xcom(&self, ti: TiId, key: &str) -> Result<bool, StoreError>;

    /// URLs of large XComs whose rows went until then, or name another object since; oldest first.
    async fn dropped_xcom_objects(&self, until: Timestamp, limit: u32) -> Result<Vec<String>, StoreError>;

    /// Such an object is removed.
    async fn forget_dropped_xcom_object(&self, url: &str) -> Result<(), StoreError>;

    /// Whether a row names this object.
    async fn is_xcom_object_named(&self, url: &str) -> Result<bool, StoreError>;

    /// The name of this installation, made with its database: 32 hexadecimal digits.
    async fn installation_id(&self) -> Result<String, StoreError>;

    /// Inserts or replaces a variable; `value` is what the caller encrypted.
    async fn put_variable(&self, variable: &Variable) -> Result<(), StoreError>;

    /// Deletes a variable; `false` when there was none.
    async fn delete_variable(&self, key: &str) -> Result<bool, StoreError>;

    /// Inserts or replaces a connection; `password` and `extra` are what the caller encrypted.
    async fn put_connection(&self, connection: &Connection) -> Result<(), StoreError>;

    /// Deletes a connection; `false` when there was none.
    async fn delete_connection(&self, conn_id: &str) -> Result<bool, StoreError>;

    /// Adds a line to the audit trail.
    async fn put_audit(&self, event: &AuditEvent) -> Result<(), StoreError>;

    // --- reads ------------------------------------------------------------------------------------------------------

    /// A DAG with its current version.
    async fn dag(&self, dag_id: &str) -> Result<Option<(DagRow, Arc<DagVersion>)>, StoreError>;

    /// DAGs by id.
    async fn dags(&self, filter: &DagFilter, page: Page) -> Result<Listing<(DagRow, Arc<DagVersion>)>, StoreError>;

    /// One version of a DAG.
    async fn dag_version(&self, dag_id: &str, hash: &VersionHash) -> Result<Option<Arc<DagVersion>>, StoreError>;

    /// A run.
    async fn run(&self, dag_id: &str, run_id: &str) -> Result<Option<DagRun>, StoreError>;

    /// The run of a DAG with this logical date.
    async fn run_by_logical_date(&self, dag_id: &str, logical_date: Timestamp) -> Result<Option<DagRun>, StoreError>;

    /// Runs, newest first.
    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Listing<DagRun>, StoreError>;

    /// A task instance by id.
    async fn task_instance(&self, id: TiId) -> Result<Option<TaskInstance>, StoreError>;

    /// Task instances.
    async fn task_instances(
        &self,
        filter: &TaskInstanceFilter,
        page: Page,
    ) -> Result<Listing<TaskInstance>, StoreError>;

    /// Every task instance of a run.
    async fn run_task_instances(&self, dag_id: &str, run_id: &str) -> Result<Vec<TaskInstance>, StoreError>;

    /// Past attempts of a task instance, oldest first.
    async fn tries(&self, ti: TiId) -> Result<Vec<TaskTry>, StoreError>;

    /// XComs, by task id, map index and key.
    async fn xcoms(&self, query: &XComQuery, page: Page) -> Result<Listing<XCom>, StoreError>;

    /// The rendered template fields of a task instance's last attempt.
    async fn rendered(&self, ti: TiId) -> Result<Option<serde_json::Value>, StoreError>;

    /// Pools by name.
    async fn pools(&self) -> Result<Vec<Pool>, StoreError>;

    /// A variable, its value still encrypted.
    async fn variable(&self, key: &str) -> Result<Option<Variable>, StoreError>;

    /// Variables by key, values still encrypted.
    async fn variables(&self, page: Page) -> Result<Listing<Variable>, StoreError>;

    /// A connection, password and extra still encrypted.
    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, StoreError>;

    /// Connections by id, passwords and extras still encrypted.
    async fn connections(&self, page: Page) -> Result<Listing<Connection>, StoreError>;

    /// Import errors by path.
    async fn import_errors(&self, page: Page) -> Result<Listing<ImportError>, StoreError>;

    /// A bundle.
    async fn bundle(&self, hash: &BundleHash) -> Result<Option<Bundle>, StoreError>;

    /// The bytes of a blob.
    async fn blob(&self, hash: &BlobHash) -> Result<Option<Vec<u8>>, StoreError>;

    /// Assets by name; only those whose name or URI contains `pattern`.
    async fn assets(&self, pattern: Option<&str>, page: Page) -> Result<Listing<Asset>, StoreError>;

    /// The assets that events of an alias were attached to, by name.
    async fn assets_of_alias(&self, alias: &str) -> Result<Vec<Asset>, StoreError>;

    /// Asset events.
    async fn asset_events(&self, filter: &AssetEventFilter, page: Page) -> Result<Listing<AssetEvent>, StoreError>;

    /// The asset events that a run consumed, by number.
    async fn consumed_events(&self, dag_id: &str, run_id: &str) -> Result<Vec<AssetEvent>, StoreError>;

    /// Backfills, newest first; of one DAG, where given.
    async fn backfills(&self, dag_id: Option<&str>, page: Page) -> Result<Listing<Backfill>, StoreError>;

    /// A backfill and what it does about each date, by place.
    async fn backfill(&self, no: u64) -> Result<Option<(Backfill, Vec<BackfillItem>)>, StoreError>;

    /// Callbacks.
    async fn callbacks(&self, filter: &CallbackFilter, page: Page) -> Result<Listing<Callback>, StoreError>;

    /// The question of a task instance to a person.
    async fn human_input(&self, ti: TiId) -> Result<Option<HumanInput>, StoreError>;

    /// Questions to people.
    async fn human_inputs(&self, filter: &HumanInputFilter, page: Page) -> Result<Listing<HumanInput>, StoreError>;

    /// A value that a task or asset keeps between attempts and runs (Airflow's task and asset state stores). `scope` names
    /// the owner, e.g. `task/DAG/RUN/TASK/INDEX` or `asset/NAME`.
    async fn state_value(&self, scope: &str, key: &str) -> Result<Option<serde_json::Value>, StoreError>;

    /// Inserts or replaces a kept value.
    async fn put_state_value(&self, scope: &str, key: &str, value: &serde_json::Value) -> Result<(), StoreError>;

    /// Deletes a kept value, or with no key all of the scope; how many there were.
    async fn delete_state_values(&self, scope: &str, key: Option<&str>) -> Result<u64, StoreError>;

    /// The audit trail, newest first.
    async fn audit(&self, page: Page) -> Result<Listing<AuditEvent>, StoreError>;
}
