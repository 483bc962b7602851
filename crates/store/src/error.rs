//! From a database's error codes to [`StoreError`]. Texts are for people; decisions go by code.

use sqlx::error::DatabaseError;
use tradewind_ports::StoreError;

/// What a failed statement means.
pub(crate) fn from_sqlx(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => from_database(error.as_ref()),
        sqlx::Error::Io(error) => {
            if error.kind() == std::io::ErrorKind::StorageFull {
                StoreError::Full(error.to_string())
            } else {
                StoreError::Unavailable(error.to_string())
            }
        }
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection became free in time".to_owned()),
        error @ (sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed) => StoreError::Unavailable(error.to_string()),
        error => StoreError::Broken(error.to_string()),
    }
}

fn from_database(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        from_sqlite(code.parse().unwrap_or(1), error.message())
    } else {
        from_postgres(&code, error)
    }
}

/// Whether the database gave the transaction up in favour of another one: it was rolled back for certain.
pub(crate) fn is_rolled_back(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01"))
}

/// Whether a lock was not granted in time (`lock_timeout`).
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code.as_ref() == "55P03")
}

/// PostgreSQL's SQLSTATE codes (appendix A of its manual).
fn from_postgres(code: &str, error: &dyn DatabaseError) -> StoreError {
    let text = error.message().to_owned();
    match code {
        "23505" | "23503" => {
            let detail = error
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .and_then(|error| error.detail())
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            StoreError::Conflict(format!("{text}{detail}"))
        }
        "53100" => StoreError::Full(text),
        "42P01" | "42703" | "42883" | "3F000" => {
            StoreError::Schema(format!("{text}; run `tradewind db migrate` if this database is new"))
        }
        "28000" | "28P01" | "3D000" | "42501" => StoreError::Config(text),
        // Read-only: a standby answers, or a failover is under way.
        "25006" | "25P03" | "40001" | "40P01" | "55P03" | "57014" => StoreError::Unavailable(text),
        // Connection exceptions, insufficient resources, operator intervention, system errors.
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => StoreError::Unavailable(text),
        _ => StoreError::Broken(format!("{text} (SQLSTATE {code})")),
    }
}

/// SQLite's extended result codes; the low byte is the primary code.
fn from_sqlite(code: i32, text: &str) -> StoreError {
    const UNIQUE: [i32; 3] = [2067, 1555, 2579];
    const FOREIGN_KEY: i32 = 787;
    if UNIQUE.contains(&code) || code == FOREIGN_KEY {
        return StoreError::Conflict(text.to_owned());
    }
    match code & 0xff {
        // BUSY, LOCKED, INTERRUPT, IOERR, PROTOCOL.
        5 | 6 | 9 | 10 | 15 => StoreError::Unavailable(text.to_owned()),
        13 => StoreError::Full(text.to_owned()),
        // PERM, READONLY, CANTOPEN, AUTH, NOTADB.
        3 | 8 | 14 | 23 | 26 => StoreError::Config(text.to_owned()),
        _ => StoreError::Broken(format!("{text} (SQLite code {code})")),
    }
}
