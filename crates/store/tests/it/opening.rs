//! Opening a store, and what is said when that fails.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, Executor};
use tradewind_ports::{Store, StoreError};
use tradewind_store::{FullStore, StoreOptions, open, open_sql};

use crate::fixture::{self, Database, options, server_url, sqlite_url, with_database};

async fn error_of(url: &str) -> StoreError {
    let options = StoreOptions { connect_timeout: Duration::from_secs(2), ..StoreOptions::default() };
    open(url, options).await.err().unwrap_or_else(|| panic!("{url} opens"))
}

fn config(error: &StoreError) -> String {
    assert!(matches!(error, StoreError::Config(_)), "{error:?}");
    error.to_string()
}

/// User, password and place of the test server.
fn parts() -> (String, String, String) {
    let url = server_url();
    let (user, rest) = url.strip_prefix("postgres://").unwrap().split_once(':').unwrap();
    let (password, rest) = rest.split_once('@').unwrap();
    (user.to_owned(), password.to_owned(), rest.split('/').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_bad_url_is_told_with_a_good_one() {
    for url in ["", "mysql://u:secret@h/db", "nonsense", "postgres://u:secret@h:notaport/db", "sqlite://"] {
        let text = config(&error_of(url).await);
        assert!(text.contains("sqlite:///") || text.contains("postgres://user"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let (user, password, place) = parts();
    let text = config(&error_of(&format!("postgres://{user}:wr%2Fong@{place}/postgres")).await);
    assert!(text.contains(&place) && text.contains(&user) && text.contains("wrong password"), "{text}");
    assert!(!text.contains("wr/ong") && !text.contains("wr%2Fong") && !text.contains(&password), "{text}");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let (_, password, place) = parts();
    let text = config(&error_of(&with_database(&server_url(), "no_such_database")).await);
    assert!(text.contains("no_such_database") && text.contains(&place) && text.contains("createdb"), "{text}");
    assert!(!text.contains(&password), "{text}");
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    // Port 9 (discard) is closed everywhere that tests run.
    let error = error_of("postgres://u:secret@127.0.0.1:9/db").await;
    assert!(matches!(error, StoreError::Unavailable(_)) && error.is_retryable(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:9") && !text.contains("secret"), "{text}");
    // One that accepts and then says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let text = error_of(&format!("postgres://u:secret@{place}/db")).await.to_string();
    assert!(text.contains(&place) && text.contains("did not answer") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_path_that_cannot_be_a_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "this is not a database, it is a long enough text file to be looked at".repeat(20)).unwrap();
    for path in [file.clone(), file.join("below.db"), folder.path().to_owned()] {
        let text = config(&error_of(&format!("sqlite://{}", path.display())).await);
        assert!(text.contains("file") || text.contains(&folder.path().display().to_string()), "{text}");
    }
}

#[tokio::test]
async fn the_folder_of_a_new_database_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a/b/tradewind.db", folder.path().display());
    let store = open(&url, options()).await.unwrap();
    store.migrate().await.unwrap();
    assert!(folder.path().join("a/b/tradewind.db").is_file());
}

async fn every_statement(url: &str) {
    let store = open_sql(url, options()).await.unwrap();
    // Before the migration most of them must fail: the check checks something.
    let error = store.check_statements().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    store.migrate().await.unwrap();
    let count = store.check_statements().await.unwrap();
    assert!(count > 60, "{count}");
}

#[tokio::test]
async fn postgres_prepares_every_statement() {
    every_statement(&Database::create().await.url).await;
}

#[tokio::test]
async fn sqlite_prepares_every_statement() {
    let folder = tempfile::tempdir().unwrap();
    every_statement(&sqlite_url(&folder)).await;
}

/// A store that a newer binary migrated is recognized and left alone.
async fn newer_schema(store: Arc<dyn FullStore>, migrated_by_others: impl Future<Output = ()>) {
    store.migrate().await.unwrap();
    migrated_by_others.await;
    let status = store.schema_status().await.unwrap();
    assert_eq!(status.unknown, ["9999_future"]);
    assert!(!status.is_ready());
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("9999_future") && error.to_string().contains("newer"), "{error}");
}

const FUTURE: &str = "INSERT INTO schema_migration (name) VALUES ('9999_future')";

#[tokio::test]
async fn postgres_refuses_a_newer_schema() {
    let (store, database) = fixture::postgres().await;
    newer_schema(store, async { database.connect().await.execute(FUTURE).await.map(drop).unwrap() }).await;
}

#[tokio::test]
async fn sqlite_refuses_a_newer_schema() {
    let (store, folder) = fixture::sqlite().await;
    newer_schema(store, async {
        let mut other = sqlx::SqliteConnection::connect(&sqlite_url(&folder)).await.unwrap();
        other.execute(FUTURE).await.map(drop).unwrap();
    })
    .await;
}

/// Without its tables the store says what to do.
#[tokio::test]
async fn a_missing_schema_is_told() {
    let (store, _database) = fixture::postgres().await;
    let error = store.pools().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("tradewind db migrate"), "{error}");
}
