//! SQLite.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use tradewind_ports::{
    Store, StoreError,
    conformance::{dag_set, lead, run, task_instance, xcom},
};
use tradewind_store::{FullStore, open};
use tradewind_types::{DEFAULT_SHARD, WriteSet};
use uuid::Uuid;

use crate::fixture::{self, options, sqlite_url};

async fn store() -> (Arc<dyn FullStore>, TempDir) {
    fixture::sqlite().await
}

tradewind_ports::store_conformance!(store);

mod logs {
    tradewind_ports::log_conformance!(super::store);
}

/// Two standalone processes on one file: the second does not lead, sees what the first wrote, and may take over later.
#[tokio::test]
async fn a_second_process_on_the_file_stands_by() {
    let (first, folder) = store().await;
    let second = open(&sqlite_url(&folder), options()).await.unwrap();
    let term = lead(first.as_ref()).await;
    second.migrate().await.unwrap();
    let acquire =
        || second.acquire_lease(DEFAULT_SHARD, "second", Uuid::from_u128(2), "http://2", Duration::from_secs(60));
    assert_eq!(acquire().await.unwrap(), None);
    assert_eq!(second.leader(DEFAULT_SHARD).await.unwrap().unwrap().owner, "leader");
    first.commit(DEFAULT_SHARD, term, &dag_set("d", &[]).0).await.unwrap();
    assert!(second.dag("d").await.unwrap().is_some());
    first.release_lease(DEFAULT_SHARD, term).await.unwrap();
    assert_eq!(acquire().await.unwrap().unwrap().term.0, term.0 + 1);
}

/// A commit is durable and complete: what another program reads from the file is all of it.
#[tokio::test]
async fn the_file_is_safe_against_power_loss() {
    let (store, folder) = store().await;
    lead(store.as_ref()).await;
    let mut other = SqliteConnection::connect(&sqlite_url(&folder)).await.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut other).await.unwrap();
    assert_eq!(mode, "wal");
}

/// A program that holds the write lock makes commits wait, then fail as unavailable; afterwards they work.
#[tokio::test]
async fn a_locked_file_is_unavailable_not_broken() {
    let (store, folder) = store().await;
    let term = lead(store.as_ref()).await;
    let mut other = SqliteConnection::connect(&sqlite_url(&folder)).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = store.commit(DEFAULT_SHARD, term, &dag_set("d", &[]).0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // Readers do not mind.
    assert!(store.dag("d").await.unwrap().is_none());
    other.execute("ROLLBACK").await.unwrap();
    store.commit(DEFAULT_SHARD, term, &dag_set("d", &[]).0).await.unwrap();
    assert!(store.dag("d").await.unwrap().is_some());
}

/// A full disk refuses the commit as a whole, and the store works on once there is room.
#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let (store, folder) = store().await;
    let term = lead(store.as_ref()).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = run(1, &version);
    let ti = task_instance(&run, "a");
    rows.run(&run, true);
    rows.task_instance(&ti, true);
    store.commit(DEFAULT_SHARD, term, &rows).await.unwrap();
    drop(store);

    let url = sqlite_url(&folder);
    let limited = tradewind_store::open_sql(&url, options()).await.unwrap();
    limited.limit_pages(100).await.unwrap();
    let mut rows = WriteSet::default();
    rows.xcoms.push(xcom(&ti, "small", serde_json::json!(1)));
    rows.xcoms.push(xcom(&ti, "large", serde_json::json!("x".repeat(4_000_000))));
    let error = limited.commit(DEFAULT_SHARD, term, &rows).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)) && error.is_retryable(), "{error:?}");
    assert!(!limited.delete_xcom(ti.id, "small").await.unwrap());
    rows.xcoms.truncate(1);
    limited.commit(DEFAULT_SHARD, term, &rows).await.unwrap();
    assert!(limited.delete_xcom(ti.id, "small").await.unwrap());
}

/// A commit that is given up half-way leaves no transaction open.
#[tokio::test]
async fn a_cancelled_commit_blocks_nobody() {
    let (store, _folder) = store().await;
    let term = lead(store.as_ref()).await;
    let (mut rows, version) = dag_set("d", &[]);
    let run = run(1, &version);
    rows.run(&run, true);
    for i in 0..2_000 {
        rows.task_instance(&task_instance(&run, &format!("t{i}")), true);
    }
    for _ in 0..3 {
        let commit = store.commit(DEFAULT_SHARD, term, &rows);
        assert!(tokio::time::timeout(Duration::from_millis(5), commit).await.is_err());
    }
    store.commit(DEFAULT_SHARD, term, &rows).await.unwrap();
    assert_eq!(store.run_task_instances("d", "run-1").await.unwrap().len(), 2_000);
}
