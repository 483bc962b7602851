//! Fresh databases.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tradewind_store::{FullStore, StoreOptions, open};

/// The server that tests make their databases on.
pub fn server_url() -> String {
    std::env::var("TRADEWIND_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("TRADEWIND_TEST_POSTGRES_URL is not set; run `make test`, or scripts/test-services.sh by hand")
    })
}

/// A URL with another database.
pub fn with_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

pub fn options() -> StoreOptions {
    StoreOptions { connect_timeout: Duration::from_secs(10), ..StoreOptions::default() }
}

/// A database of its own, dropped at the end.
pub struct Database {
    pub url: String,
    name: String,
}

impl Database {
    pub async fn create() -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&server_url()).await.unwrap();
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        Self { url: with_database(&server_url(), &name), name }
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // A runtime of its own: the test's is in use.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut server) = PgConnection::connect(&server_url()).await {
                    // At worst it stays until the server is thrown away.
                    let _ = server.execute(AssertSqlSafe(drop)).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

/// An empty Postgres store, not migrated.
pub async fn postgres() -> (Arc<dyn FullStore>, Database) {
    let database = Database::create().await;
    let store = open(&database.url, options()).await.unwrap();
    (store, database)
}

/// An empty SQLite store, not migrated.
pub async fn sqlite() -> (Arc<dyn FullStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&sqlite_url(&folder), options()).await.unwrap();
    (store, folder)
}

pub fn sqlite_url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}/tradewind.db", folder.path().display())
}
