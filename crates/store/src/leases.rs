//! The leader's lease: one row a shard. All times are the database's.

use std::time::Duration;

use sqlx::Row as _;
use tradewind_ports::StoreError;
use tradewind_types::{LeaderInfo, Term};
use uuid::Uuid;

use crate::{
    db::{Db, PostgresDb, Row, postgres_args},
    error::{from_sqlx, is_lock_timeout},
    sql::{Arg, Sql, args},
};

/// What a candidate sees without locking anything: whether the lease is free, and whose session may hold it.
const LOOK: &str = "SELECT (owner IS NULL OR expires_at <= clock_timestamp()), backend_pid, backend_start
    FROM lease WHERE shard = $1";

const ADD_SHARD: Sql = Sql::forked(
    "INSERT INTO lease (shard, term, expires_at) VALUES ($1, 0, 'epoch') ON CONFLICT (shard) DO NOTHING",
    "INSERT INTO lease (shard, term, expires_at) VALUES ($1, 0, 0) ON CONFLICT (shard) DO NOTHING",
);

/// Takes the lease if it is free. `FOR UPDATE` waits for every commit that is under way under the old term, and for no
/// renewal is it needed: commits lock the row `FOR KEY SHARE`, which an update of other columns does not disturb.
const TAKE: Sql = Sql::forked(
    "WITH free AS (
        SELECT shard FROM lease
        WHERE shard = $1 AND (owner IS NULL OR expires_at <= clock_timestamp())
        FOR UPDATE
    )
    UPDATE lease SET term = term + 1, owner = $2, incarnation = $3, address = $4,
        expires_at = clock_timestamp() + $5 * INTERVAL '1 microsecond',
        backend_pid = pg_backend_pid(),
        backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
    FROM free WHERE lease.shard = free.shard
    RETURNING term, expires_at",
    "UPDATE lease SET term = term + 1, owner = $2, incarnation = $3, address = $4,
        expires_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + $5
    WHERE shard = $1
        AND (owner IS NULL OR expires_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    RETURNING term, expires_at",
);

/// Ends the session of the former holder. Its start is compared, since process ids are used again.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE pid = $1 AND backend_start = $2 AND pid <> pg_backend_pid()";

const RENEW: Sql = Sql::forked(
    "UPDATE lease SET expires_at = clock_timestamp() + $3 * INTERVAL '1 microsecond',
        backend_pid = coalesce($4, backend_pid), backend_start = coalesce($5, backend_start)
    WHERE shard = $1 AND term = $2 AND owner IS NOT NULL",
    "UPDATE lease SET expires_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + $3
    WHERE shard = $1 AND term = $2 AND owner IS NOT NULL",
);

const RELEASE: Sql = Sql::both("UPDATE lease SET owner = NULL WHERE shard = $1 AND term = $2 AND owner IS NOT NULL");

const LEADER: Sql = Sql::forked(
    "SELECT term, owner, incarnation, address, expires_at FROM lease
    WHERE shard = $1 AND owner IS NOT NULL AND expires_at > clock_timestamp()",
    "SELECT term, owner, incarnation, address, expires_at FROM lease
    WHERE shard = $1 AND owner IS NOT NULL
        AND expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
);

fn micros(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)
}

/// Who asks for the lease.
pub(crate) struct Candidate<'a> {
    pub(crate) owner: &'a str,
    pub(crate) incarnation: Uuid,
    pub(crate) address: &'a str,
    pub(crate) ttl: Duration,
}

impl Candidate<'_> {
    fn args(&self, shard: i32) -> Vec<Arg> {
        args![shard, self.owner, self.incarnation, self.address, micros(self.ttl)]
    }

    fn leads(&self, row: &Row) -> Result<LeaderInfo, StoreError> {
        Ok(LeaderInfo {
            term: Term(row.uint(0)?),
            owner: self.owner.to_owned(),
            incarnation: self.incarnation,
            address: self.address.to_owned(),
            expires_at: row.at(1)?,
        })
    }
}

pub(crate) async fn acquire(db: &Db, shard: i32, candidate: &Candidate<'_>) -> Result<Option<LeaderInfo>, StoreError> {
    match db {
        Db::Postgres(db) => db.bounded(acquire_postgres(db, shard, candidate)).await,
        Db::Sqlite(_) => {
            // A look first: a standby must not take the write lock every second.
            if leader(db, shard).await?.is_some() {
                return Ok(None);
            }
            let mut tx = db.begin().await?;
            tx.execute(ADD_SHARD, args![shard]).await?;
            let rows = tx.fetch(TAKE, candidate.args(shard)).await?;
            tx.commit().await?;
            rows.first().map(|row| candidate.leads(row)).transpose()
        }
    }
}

async fn acquire_postgres(
    db: &PostgresDb,
    shard: i32,
    candidate: &Candidate<'_>,
) -> Result<Option<LeaderInfo>, StoreError> {
    // On the leader's own connection: the lease names its session.
    let mut turn = db.leader().await?;
    let look = sqlx::query(LOOK).bind(shard).fetch_optional(&mut turn.connection).await.map_err(from_sqlx)?;
    let (free, pid, start) = match look {
        Some(row) => (
            row.try_get::<bool, _>(0).map_err(from_sqlx)?,
            row.try_get::<Option<i32>, _>(1).map_err(from_sqlx)?,
            row.try_get::<Option<jiff_sqlx::Timestamp>, _>(2).map_err(from_sqlx)?,
        ),
        None => {
            sqlx::query(ADD_SHARD.postgres)
                .bind(i64::from(shard))
                .execute(&mut turn.connection)
                .await
                .map_err(from_sqlx)?;
            (true, None, None)
        }
    };
    if !free {
        turn.keep();
        return Ok(None);
    }
    let mut taken = take_postgres(&mut turn.connection, shard, candidate).await;
    if let (Err(error), Some(pid)) = (&taken, pid)
        && is_lock_timeout(error)
    {
        // The former holder froze inside a transaction that holds its lock on the row. Its term is over by the clock, so
        // its session may be ended; the transaction is undone with it.
        let ended: i64 = sqlx::query_scalar(TERMINATE)
            .bind(pid)
            .bind(start)
            .fetch_one(&mut turn.connection)
            .await
            .map_err(from_sqlx)?;
        tracing::warn!(shard, pid, ended, "ended the frozen session of the former leader");
        taken = take_postgres(&mut turn.connection, shard, candidate).await;
    }
    let leader = match taken {
        Ok(row) => row.map(|row| candidate.leads(&row)).transpose()?,
        Err(error) if is_lock_timeout(&error) => {
            tracing::warn!(shard, "the lease is free but its row is locked by another session");
            None
        }
        Err(error) => return Err(from_sqlx(error)),
    };
    turn.keep();
    Ok(leader)
}

async fn take_postgres(
    connection: &mut sqlx::PgConnection,
    shard: i32,
    candidate: &Candidate<'_>,
) -> Result<Option<Row>, sqlx::Error> {
    let args = postgres_args(candidate.args(shard)).map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let row = sqlx::query_with(TAKE.postgres, args).fetch_optional(connection).await?;
    Ok(row.map(Row::Postgres))
}

pub(crate) async fn renew(db: &Db, shard: i32, term: Term, ttl: Duration) -> Result<bool, StoreError> {
    let mut args = args![shard, term.0, micros(ttl)];
    if let Db::Postgres(db) = db {
        // The session may have changed since the lease was taken.
        let session = db.leader_session();
        args.push(Arg::Int(session.map(|(pid, _)| i64::from(pid))));
        args.push(Arg::At(session.map(|(_, start)| start)));
    }
    Ok(db.execute(RENEW, args).await? == 1)
}

pub(crate) async fn release(db: &Db, shard: i32, term: Term) -> Result<(), StoreError> {
    db.execute(RELEASE, args![shard, term.0]).await.map(drop)
}

pub(crate) async fn leader(db: &Db, shard: i32) -> Result<Option<LeaderInfo>, StoreError> {
    let row = db.fetch_one(LEADER, args![shard]).await?;
    row.map(|row| {
        Ok(LeaderInfo {
            term: Term(row.uint(0)?),
            owner: row.text(1)?,
            incarnation: row.id(2)?,
            address: row.text(3)?,
            expires_at: row.at(4)?,
        })
    })
    .transpose()
}

pub(crate) const STATEMENTS: &[Sql] = &[ADD_SHARD, TAKE, RENEW, RELEASE, LEADER];

/// Statements that only Postgres runs.
pub(crate) const POSTGRES_STATEMENTS: &[&str] = &[LOOK, TERMINATE];
