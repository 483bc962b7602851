//! Logs in Postgres: rows of chunks, each at its byte offset.

use tradewind_ports::{LogChunk, StoreError};
use tradewind_types::{AttemptKey, TiId};

use crate::sql::Sql;
use crate::{
    db::Db,
    sql::{Arg, args, int},
};

const LENGTH: Sql = Sql::both(
    "SELECT COALESCE((
        SELECT start + octet_length(data) FROM task_log WHERE ti = $1 AND attempt = $2
        ORDER BY start DESC LIMIT 1
    ), 0)::BIGINT",
);

/// Appends the part of a chunk that is not there yet, in one statement. A log line need not outlive a crash of the
/// machine, so its commit does not wait for the disk.
const APPEND: Sql = Sql::both(
    "WITH fast AS (SELECT set_config('synchronous_commit', 'off', TRUE)),
    log AS (
        SELECT COALESCE((
            SELECT start + octet_length(data) FROM task_log WHERE ti = $1 AND attempt = $2
            ORDER BY start DESC LIMIT 1
        ), 0)::BIGINT AS length FROM fast
    )
    INSERT INTO task_log (ti, attempt, start, data)
    SELECT $1, $2, length, substring($4::BYTEA FROM (length - $3)::INTEGER + 1) FROM log
    WHERE length >= $3 AND length < $3 + octet_length($4::BYTEA)
    ON CONFLICT (ti, attempt, start) DO NOTHING",
);

const READ: Sql = Sql::both(
    "SELECT start, data FROM task_log
    WHERE ti = $1 AND attempt = $2 AND start < $4 AND start >= COALESCE((
        SELECT max(start) FROM task_log WHERE ti = $1 AND attempt = $2 AND start <= $3
    ), 0)
    ORDER BY start",
);

const ATTEMPTS: Sql = Sql::both("SELECT DISTINCT attempt FROM task_log WHERE ti = $1 ORDER BY attempt");

async fn length(db: &Db, key: AttemptKey) -> Result<u64, StoreError> {
    db.fetch_one(LENGTH, args![key.ti.0, key.attempt]).await?.map_or(Ok(0), |row| row.uint(0))
}

pub(crate) async fn append(db: &Db, key: AttemptKey, chunk: &LogChunk) -> Result<(), StoreError> {
    let end = chunk.offset + chunk.data.len() as u64;
    // Two appends at once may both see the old length; the one that comes second writes nothing and looks again.
    loop {
        let args = vec![key.ti.0.into(), key.attempt.into(), chunk.offset.into(), Arg::Bytes(chunk.data.clone())];
        if db.execute(APPEND, args).await? > 0 {
            return Ok(());
        }
        let length = length(db, key).await?;
        if length >= end {
            return Ok(());
        }
        if length < chunk.offset {
            return Err(gap(key, chunk.offset, length));
        }
    }
}

/// The error of an append that would leave a hole.
pub(crate) fn gap(key: AttemptKey, offset: u64, length: u64) -> StoreError {
    StoreError::Conflict(format!("the log of {key} has {length} bytes; a chunk at offset {offset} would leave a gap"))
}

pub(crate) async fn read(db: &Db, key: AttemptKey, offset: u64, max: usize) -> Result<Vec<u8>, StoreError> {
    let end = offset.saturating_add(max as u64).min(i64::MAX as u64);
    let rows = db.fetch(READ, args![key.ti.0, key.attempt, int(offset), int(end)]).await?;
    let mut found = Vec::new();
    for row in rows {
        let start = row.uint(0)?;
        let data = row.bytes(1)?;
        let from = usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        if let Some(part) = data.get(from..to.min(data.len())) {
            found.extend_from_slice(part);
        }
    }
    Ok(found)
}

pub(crate) async fn attempts(db: &Db, ti: TiId) -> Result<Vec<u32>, StoreError> {
    let rows = db.fetch(ATTEMPTS, args![ti.0]).await?;
    rows.iter().map(|row| row.number(0)).collect()
}

/// Statements that only Postgres runs.
pub(crate) const POSTGRES_STATEMENTS: &[&str] = &[LENGTH.postgres, APPEND.postgres, READ.postgres, ATTEMPTS.postgres];
