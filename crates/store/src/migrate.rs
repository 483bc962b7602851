//! Migrations: numbered files, embedded, applied in order under a lock, recorded by name.

use std::collections::BTreeSet;

use sqlx::Executor;
use tradewind_ports::{SchemaStatus, StoreError};

use crate::{
    db::{Db, Row},
    error::from_sqlx,
    sql::Sql,
};

/// A migration's name and text.
type Migration = (&'static str, &'static str);

const POSTGRES: &[Migration] = &[
    ("0001_core", include_str!("../migrations/postgres/0001_core.sql")),
    ("0002_xcom_objects", include_str!("../migrations/postgres/0002_xcom_objects.sql")),
    ("0003_installation", include_str!("../migrations/postgres/0003_installation.sql")),
];

const SQLITE: &[Migration] = &[
    ("0001_core", include_str!("../migrations/sqlite/0001_core.sql")),
    ("0002_xcom_objects", include_str!("../migrations/sqlite/0002_xcom_objects.sql")),
    ("0003_installation", include_str!("../migrations/sqlite/0003_installation.sql")),
];

/// The advisory lock under which Postgres is migrated: "tradewin" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(8390876073413978478)";

const TABLE: Sql = Sql::forked(
    "CREATE TABLE IF NOT EXISTS schema_migration (
        name TEXT PRIMARY KEY,
        applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
    )",
    "CREATE TABLE IF NOT EXISTS schema_migration (
        name TEXT PRIMARY KEY,
        applied_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ) STRICT",
);

const TABLE_EXISTS: Sql = Sql::forked(
    "SELECT count(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(FALSE)) AND tablename = 'schema_migration'",
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'",
);

const APPLIED: Sql = Sql::both("SELECT name FROM schema_migration ORDER BY name");

const RECORD: Sql = Sql::both("INSERT INTO schema_migration (name) VALUES ($1)");

fn known(db: &Db) -> &'static [Migration] {
    match db {
        Db::Postgres(_) => POSTGRES,
        Db::Sqlite(_) => SQLITE,
    }
}

fn names(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| row.text(0)).collect()
}

fn compare(known: &[Migration], applied: &[String]) -> SchemaStatus {
    let applied: BTreeSet<&str> = applied.iter().map(String::as_str).collect();
    let mut status = SchemaStatus { applied: Vec::new(), pending: Vec::new(), unknown: Vec::new() };
    for (name, _) in known {
        if applied.contains(name) {
            status.applied.push((*name).to_owned());
        } else {
            status.pending.push((*name).to_owned());
        }
    }
    status.unknown =
        applied.into_iter().filter(|name| known.iter().all(|(known, _)| known != name)).map(str::to_owned).collect();
    status
}

pub(crate) async fn status(db: &Db) -> Result<SchemaStatus, StoreError> {
    let exists = db.fetch_one(TABLE_EXISTS, Vec::new()).await?.map_or(Ok(0), |row| row.int(0))?;
    let applied = if exists == 0 { Vec::new() } else { names(&db.fetch(APPLIED, Vec::new()).await?)? };
    Ok(compare(known(db), &applied))
}

pub(crate) async fn migrate(db: &Db) -> Result<SchemaStatus, StoreError> {
    let mut tx = db.begin().await?;
    if let crate::db::Tx::Postgres(_, tx) = &mut tx {
        // Another process may be at it for a while; waiting for it is right, failing after `lock_timeout` is not.
        tx.execute("SET LOCAL lock_timeout = 0").await.map_err(from_sqlx)?;
        tx.execute(LOCK).await.map_err(from_sqlx)?;
    }
    run_raw(&mut tx, db.pick()(&TABLE)).await?;
    let applied = names(&tx.fetch(APPLIED, Vec::new()).await?)?;
    let before = compare(known(db), &applied);
    if !before.unknown.is_empty() {
        return Err(StoreError::Schema(format!(
            "it is newer than this binary: it has {}, which this binary does not know; run a newer tradewind",
            before.unknown.join(", ")
        )));
    }
    for (name, text) in known(db) {
        if before.pending.iter().any(|pending| pending == name) {
            run_raw(&mut tx, text).await.map_err(|error| match error {
                StoreError::Broken(message) | StoreError::Conflict(message) => {
                    StoreError::Schema(format!("migration {name} failed: {message}"))
                }
                other => other,
            })?;
            tx.execute(RECORD, crate::sql::args![*name]).await?;
            tracing::info!(migration = name, "schema migrated");
        }
    }
    tx.commit().await?;
    status(db).await
}

/// Runs several statements at once.
async fn run_raw(tx: &mut crate::db::Tx<'_>, text: &'static str) -> Result<(), StoreError> {
    match tx {
        crate::db::Tx::Postgres(_, tx) => sqlx::raw_sql(text).execute(&mut **tx).await.map(drop),
        crate::db::Tx::Sqlite(turn) => sqlx::raw_sql(text).execute(&mut turn.connection).await.map(drop),
    }
    .map_err(from_sqlx)
}

pub(crate) const STATEMENTS: &[Sql] = &[TABLE_EXISTS, APPLIED, RECORD];
