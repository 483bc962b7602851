//! A commit on Postgres is a single statement, so that it costs one round trip and its transaction is over when the
//! statement is: a leader that freezes cannot leave its lock behind. The guard and each kind of row are parts of it; the
//! text is put together from the parts that the set needs, and each combination is prepared once a connection.

mod core;
mod events;
mod statement;

use sqlx::{AssertSqlSafe, Row, postgres::PgArguments};
use tradewind_ports::StoreError;
use tradewind_types::{Term, WriteSet};
use uuid::Uuid;

use self::statement::Statement;
use crate::{
    db::PostgresDb,
    error::{from_sqlx, is_rolled_back},
};

fn assemble(shard: i32, term: Term, batch: Uuid, rows: &WriteSet) -> Result<(String, PgArguments), StoreError> {
    let mut s = Statement::new(shard, term);
    core::add_dags(&mut s, rows)?;
    events::add_assets(&mut s, rows)?;
    events::add_backfills(&mut s, rows)?;
    core::add_runs(&mut s, rows)?;
    core::add_instances(&mut s, rows)?;
    core::add_tries(&mut s, rows);
    core::add_xcoms(&mut s, rows)?;
    core::add_pools(&mut s, rows);
    events::add_events(&mut s, rows)?;
    events::add_callbacks(&mut s, rows)?;
    events::add_human_inputs(&mut s, rows)?;
    core::add_audit(&mut s, batch, rows);
    s.finish()
}

pub(super) async fn commit(db: &PostgresDb, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    // The same for each attempt, so that the audit trail gets each line once.
    let batch = Uuid::new_v4();
    let held = db
        .bounded(async {
            let mut tries = 0;
            loop {
                tries += 1;
                match attempt(db, shard, term, batch, rows).await {
                    // Given up in favour of another transaction, or the connection broke, perhaps long ago. A commit may
                    // be repeated, so its outcome need not be known.
                    Err(Attempt::RolledBack(_)) if tries < 4 => {}
                    Err(Attempt::Failed(StoreError::Unavailable(_))) if tries < 3 => {}
                    Err(Attempt::RolledBack(error) | Attempt::Failed(error)) => return Err(error),
                    Ok(held) => return Ok(held),
                }
            }
        })
        .await?;
    if held { Ok(()) } else { Err(StoreError::StaleTerm) }
}

/// How an attempt at a commit failed.
enum Attempt {
    /// Nothing was written; the same again may succeed.
    RolledBack(StoreError),
    Failed(StoreError),
}

async fn attempt(db: &PostgresDb, shard: i32, term: Term, batch: Uuid, rows: &WriteSet) -> Result<bool, Attempt> {
    let (text, args) = assemble(shard, term, batch, rows).map_err(Attempt::Failed)?;
    let mut turn = db.leader().await.map_err(Attempt::Failed)?;
    let result = sqlx::query_with(AssertSqlSafe(text), args).fetch_one(&mut turn.connection).await;
    match result {
        Ok(row) => {
            turn.keep();
            row.try_get(0).map_err(|error| Attempt::Failed(from_sqlx(error)))
        }
        Err(error) => {
            let rolled_back = is_rolled_back(&error);
            let error = from_sqlx(error);
            // A refusal by the database leaves the connection sound.
            if rolled_back || !matches!(error, StoreError::Unavailable(_)) {
                turn.keep();
            }
            Err(if rolled_back { Attempt::RolledBack(error) } else { Attempt::Failed(error) })
        }
    }
}

/// Runs the statement that commits `rows` under a term that nobody has, so that it is prepared and writes nothing.
pub(crate) async fn try_out(db: &PostgresDb, rows: &WriteSet) -> Result<(), StoreError> {
    let (text, args) = assemble(-1, Term(0), Uuid::nil(), rows)?;
    let row = sqlx::query_with(AssertSqlSafe(text), args).fetch_one(&db.pool).await.map_err(from_sqlx)?;
    if row.try_get(0).map_err(from_sqlx)? {
        return Err(StoreError::Broken("a commit without a term went through".to_owned()));
    }
    Ok(())
}
