//! Logs in files.

use std::sync::Arc;

use tempfile::TempDir;
use tradewind_ports::{LogChunk, LogStore, StoreError};
use tradewind_store::{FileLogs, StoreOptions, open};
use tradewind_types::{AttemptKey, RunNo, TiId, UNMAPPED};

use crate::fixture::{self, Database};

async fn logs() -> (Arc<FileLogs>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(FileLogs::new(folder.path()).unwrap()), folder)
}

tradewind_ports::log_conformance!(logs);

fn key() -> AttemptKey {
    AttemptKey { ti: TiId::derive(RunNo(300), &"../../etc/passwd".into(), UNMAPPED), attempt: 2 }
}

fn line(offset: u64) -> LogChunk {
    LogChunk { offset, data: b"line\n".to_vec() }
}

/// Paths are made of numbers and ids, whatever tasks are called.
#[tokio::test]
async fn paths_hold_no_text_of_users() {
    let (logs, folder) = logs().await;
    logs.append_log(RunNo(300), key(), &line(0)).await.unwrap();
    let file = folder.path().join("300").join(key().ti.to_string()).join("2.log");
    assert_eq!(std::fs::read(file).unwrap(), b"line\n");
}

/// With a folder in its options, a Postgres store keeps no log in the database.
#[tokio::test]
async fn postgres_can_keep_logs_in_a_shared_folder() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { logs_dir: Some(folder.path().to_owned()), ..fixture::options() };
    let one = open(&database.url, options.clone()).await.unwrap();
    let two = open(&database.url, options).await.unwrap();
    one.migrate().await.unwrap();
    one.append_log(RunNo(300), key(), &line(0)).await.unwrap();
    two.append_log(RunNo(300), key(), &line(5)).await.unwrap();
    assert_eq!(one.read_log(key(), 0, 100).await.unwrap(), b"line\nline\n");
    let in_database: i64 =
        sqlx::query_scalar("SELECT count(*) FROM task_log").fetch_one(&mut database.connect().await).await.unwrap();
    assert_eq!(in_database, 0);
}

/// `/dev/full` refuses every write as a full disk does.
#[tokio::test]
async fn a_full_disk_is_told() {
    let (logs, folder) = logs().await;
    let of_ti = folder.path().join("300").join(key().ti.to_string());
    std::fs::create_dir_all(&of_ti).unwrap();
    std::os::unix::fs::symlink("/dev/full", of_ti.join("2.log")).unwrap();
    let error = logs.append_log(RunNo(300), key(), &line(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let (_, folder) = logs().await;
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = FileLogs::new(&file.join("logs")).unwrap_err();
    assert!(matches!(error, StoreError::Config(_)), "{error:?}");
    assert!(error.to_string().contains("file/logs"), "{error}");
}

/// Two schedulers on one shared folder, or a worker that repeats itself: between its look at the length and its write, an
/// append keeps all others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_the_one_under_way() {
    let (logs, folder) = logs().await;
    logs.append_log(RunNo(300), key(), &line(0)).await.unwrap();
    let path = folder.path().join("300").join(key().ti.to_string()).join("2.log");
    let mut under_way = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    rustix::fs::flock(&under_way, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut second = tokio::spawn({
        let logs = logs.clone();
        async move { logs.append_log(RunNo(300), key(), &line(5)).await }
    });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), &mut second).await.is_err());
    std::io::Write::write_all(&mut under_way, b"line\n").unwrap();
    drop(under_way);
    second.await.unwrap().unwrap();
    assert_eq!(logs.read_log(key(), 0, 100).await.unwrap(), b"line\nline\n");
}
