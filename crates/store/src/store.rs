//! The adapter: each call of the ports goes to the module of its aggregate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tradewind_ports::{
    AssetEventFilter, CallbackFilter, DagFilter, HumanInputFilter, Listing, LogChunk, LogStore, Page, RunFilter,
    SchemaStatus, Store, StoreError, StoreSnapshot, TaskInstanceFilter, XComQuery,
};
use tradewind_types::{
    Asset, AssetEvent, AttemptKey, AuditEvent, Backfill, BackfillItem, BlobHash, Bundle, BundleHash, Callback,
    Connection, DagRow, DagRun, DagVersion, HumanInput, ImportError, LeaderInfo, Pool, RunNo, TaskInstance, TaskTry,
    Term, TiId, Timestamp, Variable, VersionHash, WriteSet, XCom,
};
use uuid::Uuid;

use crate::{
    FileLogs, assets, audit, backfills, bundles, callbacks, commit, dags, db::Db, human_inputs, leases, load, logs,
    migrate, resources, runs, sql::Sql, state_values, task_instances, xcoms,
};

pub(crate) const PING: Sql = Sql::both("SELECT 1");

/// A store on Postgres or SQLite; made by [`crate::open`].
#[derive(Debug)]
pub struct SqlStore {
    pub(crate) db: Db,
    /// Logs in files; in the database when absent.
    files: Option<FileLogs>,
}

impl SqlStore {
    pub(crate) const fn new(db: Db, files: Option<FileLogs>) -> Self {
        Self { db, files }
    }
}

#[async_trait]
impl LogStore for SqlStore {
    async fn append_log(&self, run: RunNo, key: AttemptKey, chunk: &LogChunk) -> Result<(), StoreError> {
        match &self.files {
            Some(files) => files.append_log(run, key, chunk).await,
            None => logs::append(&self.db, key, chunk).await,
        }
    }

    async fn read_log(&self, key: AttemptKey, offset: u64, max: usize) -> Result<Vec<u8>, StoreError> {
        match &self.files {
            Some(files) => files.read_log(key, offset, max).await,
            None => logs::read(&self.db, key, offset, max).await,
        }
    }

    async fn log_attempts(&self, ti: TiId) -> Result<Vec<u32>, StoreError> {
        match &self.files {
            Some(files) => files.log_attempts(ti).await,
            None => logs::attempts(&self.db, ti).await,
        }
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn schema_status(&self) -> Result<SchemaStatus, StoreError> {
        migrate::status(&self.db).await
    }

    async fn migrate(&self) -> Result<SchemaStatus, StoreError> {
        migrate::migrate(&self.db).await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let before = Instant::now();
        self.db.fetch(PING, Vec::new()).await?;
        Ok(before.elapsed())
    }

    async fn acquire_lease(
        &self,
        shard: i32,
        owner: &str,
        incarnation: Uuid,
        address: &str,
        ttl: Duration,
    ) -> Result<Option<LeaderInfo>, StoreError> {
        let candidate = leases::Candidate { owner, incarnation, address, ttl };
        leases::acquire(&self.db, shard, &candidate).await
    }

    async fn renew_lease(&self, shard: i32, term: Term, ttl: Duration) -> Result<bool, StoreError> {
        leases::renew(&self.db, shard, term, ttl).await
    }

    async fn release_lease(&self, shard: i32, term: Term) -> Result<(), StoreError> {
        leases::release(&self.db, shard, term).await
    }

    async fn leader(&self, shard: i32) -> Result<Option<LeaderInfo>, StoreError> {
        leases::leader(&self.db, shard).await
    }

    async fn load(&self, _shard: i32) -> Result<StoreSnapshot, StoreError> {
        load::load(&self.db).await
    }

    async fn commit(&self, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
        commit::commit(&self.db, shard, term, rows).await
    }

    async fn put_blobs(&self, blobs: &[(BlobHash, Vec<u8>)]) -> Result<(), StoreError> {
        bundles::put_blobs(&self.db, blobs).await
    }

    async fn missing_blobs(&self, hashes: &[BlobHash]) -> Result<Vec<BlobHash>, StoreError> {
        bundles::missing_blobs(&self.db, hashes).await
    }

    async fn put_bundle(&self, bundle: &Bundle) -> Result<(), StoreError> {
        bundles::put_bundle(&self.db, bundle).await
    }

    async fn set_import_errors(&self, rel_path: &str, errors: &[ImportError]) -> Result<(), StoreError> {
        resources::set_import_errors(&self.db, rel_path, errors).await
    }

    async fn put_rendered(&self, ti: TiId, fields: &serde_json::Value) -> Result<(), StoreError> {
        xcoms::put_rendered(&self.db, ti, fields).await
    }

    async fn delete_xcom(&self, ti: TiId, key: &str) -> Result<bool, StoreError> {
        xcoms::delete(&self.db, ti, key).await
    }

    async fn dropped_xcom_objects(&self, until: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        xcoms::dropped_objects(&self.db, until, limit).await
    }

    async fn forget_dropped_xcom_object(&self, url: &str) -> Result<(), StoreError> {
        xcoms::forget_dropped_object(&self.db, url).await
    }

    async fn is_xcom_object_named(&self, url: &str) -> Result<bool, StoreError> {
        xcoms::is_object_named(&self.db, url).await
    }

    async fn installation_id(&self) -> Result<String, StoreError> {
        resources::installation_id(&self.db).await
    }

    async fn put_variable(&self, variable: &Variable) -> Result<(), StoreError> {
        resources::put_variable(&self.db, variable).await
    }

    async fn delete_variable(&self, key: &str) -> Result<bool, StoreError> {
        resources::delete_variable(&self.db, key).await
    }

    async fn put_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        resources::put_connection(&self.db, connection).await
    }

    async fn delete_connection(&self, conn_id: &str) -> Result<bool, StoreError> {
        resources::delete_connection(&self.db, conn_id).await
    }

    async fn put_audit(&self, event: &AuditEvent) -> Result<(), StoreError> {
        audit::put(&self.db, event).await
    }

    async fn dag(&self, dag_id: &str) -> Result<Option<(DagRow, Arc<DagVersion>)>, StoreError> {
        dags::one(&self.db, dag_id).await
    }

    async fn dags(&self, filter: &DagFilter, page: Page) -> Result<Listing<(DagRow, Arc<DagVersion>)>, StoreError> {
        dags::list(&self.db, filter, page).await
    }

    async fn dag_version(&self, dag_id: &str, hash: &VersionHash) -> Result<Option<Arc<DagVersion>>, StoreError> {
        dags::dag_version(&self.db, dag_id, hash).await
    }

    async fn run(&self, dag_id: &str, run_id: &str) -> Result<Option<DagRun>, StoreError> {
        runs::one(&self.db, dag_id, run_id).await
    }

    async fn run_by_logical_date(&self, dag_id: &str, logical_date: Timestamp) -> Result<Option<DagRun>, StoreError> {
        runs::by_logical_date(&self.db, dag_id, logical_date).await
    }

    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Listing<DagRun>, StoreError> {
        runs::list(&self.db, filter, page).await
    }

    async fn task_instance(&self, id: TiId) -> Result<Option<TaskInstance>, StoreError> {
        task_instances::one(&self.db, id).await
    }

    async fn task_instances(
        &self,
        filter: &TaskInstanceFilter,
        page: Page,
    ) -> Result<Listing<TaskInstance>, StoreError> {
        task_instances::list(&self.db, filter, page).await
    }

    async fn run_task_instances(&self, dag_id: &str, run_id: &str) -> Result<Vec<TaskInstance>, StoreError> {
        task_instances::of_run(&self.db, dag_id, run_id).await
    }

    async fn tries(&self, ti: TiId) -> Result<Vec<TaskTry>, StoreError> {
        task_instances::tries(&self.db, ti).await
    }

    async fn xcoms(&self, query: &XComQuery, page: Page) -> Result<Listing<XCom>, StoreError> {
        xcoms::list(&self.db, query, page).await
    }

    async fn rendered(&self, ti: TiId) -> Result<Option<serde_json::Value>, StoreError> {
        xcoms::rendered(&self.db, ti).await
    }

    async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        resources::pools(&self.db).await
    }

    async fn variable(&self, key: &str) -> Result<Option<Variable>, StoreError> {
        resources::variable(&self.db, key).await
    }

    async fn variables(&self, page: Page) -> Result<Listing<Variable>, StoreError> {
        resources::variables(&self.db, page).await
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, StoreError> {
        resources::connection(&self.db, conn_id).await
    }

    async fn connections(&self, page: Page) -> Result<Listing<Connection>, StoreError> {
        resources::connections(&self.db, page).await
    }

    async fn import_errors(&self, page: Page) -> Result<Listing<ImportError>, StoreError> {
        resources::import_errors(&self.db, page).await
    }

    async fn bundle(&self, hash: &BundleHash) -> Result<Option<Bundle>, StoreError> {
        bundles::bundle(&self.db, hash).await
    }

    async fn blob(&self, hash: &BlobHash) -> Result<Option<Vec<u8>>, StoreError> {
        bundles::blob(&self.db, hash).await
    }

    async fn assets(&self, pattern: Option<&str>, page: Page) -> Result<Listing<Asset>, StoreError> {
        assets::list(&self.db, pattern, page).await
    }

    async fn assets_of_alias(&self, alias: &str) -> Result<Vec<Asset>, StoreError> {
        assets::of_alias(&self.db, alias).await
    }

    async fn asset_events(&self, filter: &AssetEventFilter, page: Page) -> Result<Listing<AssetEvent>, StoreError> {
        assets::events(&self.db, filter, page).await
    }

    async fn consumed_events(&self, dag_id: &str, run_id: &str) -> Result<Vec<AssetEvent>, StoreError> {
        assets::consumed(&self.db, dag_id, run_id).await
    }

    async fn backfills(&self, dag_id: Option<&str>, page: Page) -> Result<Listing<Backfill>, StoreError> {
        backfills::list(&self.db, dag_id, page).await
    }

    async fn backfill(&self, no: u64) -> Result<Option<(Backfill, Vec<BackfillItem>)>, StoreError> {
        backfills::one(&self.db, no).await
    }

    async fn callbacks(&self, filter: &CallbackFilter, page: Page) -> Result<Listing<Callback>, StoreError> {
        callbacks::list(&self.db, filter, page).await
    }

    async fn human_input(&self, ti: TiId) -> Result<Option<HumanInput>, StoreError> {
        human_inputs::one(&self.db, ti).await
    }

    async fn human_inputs(&self, filter: &HumanInputFilter, page: Page) -> Result<Listing<HumanInput>, StoreError> {
        human_inputs::list(&self.db, filter, page).await
    }

    async fn state_value(&self, scope: &str, key: &str) -> Result<Option<serde_json::Value>, StoreError> {
        state_values::one(&self.db, scope, key).await
    }

    async fn put_state_value(&self, scope: &str, key: &str, value: &serde_json::Value) -> Result<(), StoreError> {
        state_values::put(&self.db, scope, key, value).await
    }

    async fn delete_state_values(&self, scope: &str, key: Option<&str>) -> Result<u64, StoreError> {
        state_values::delete(&self.db, scope, key).await
    }

    async fn audit(&self, page: Page) -> Result<Listing<AuditEvent>, StoreError> {
        audit::list(&self.db, page).await
    }
}
