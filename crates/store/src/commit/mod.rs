//! The leader's commits: one transaction each, guarded by the term.
//!
//! A commit may be repeated under the same term, e.g. when its outcome is unknown: new rows are inserted or, where they
//! are there already, brought to the same values. It changes only what the guard lets it: no row at all when the term is
//! over.

mod postgres;
mod sqlite;

use std::collections::HashMap;

pub(crate) use postgres::try_out;
pub(crate) use sqlite::STATEMENTS;
use tradewind_ports::StoreError;
use tradewind_types::{TaskInstance, Term, TiId, WriteSet, XCom};

use crate::db::Db;

pub(crate) async fn commit(db: &Db, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    match db {
        Db::Postgres(db) => postgres::commit(db, shard, term, rows).await,
        Db::Sqlite(db) => sqlite::commit(db, shard, term, rows).await,
    }
}

/// The XComs of a set, the last of each name alone: a statement may write a row only once.
fn last_xcoms(rows: &WriteSet) -> Vec<&XCom> {
    let mut places: HashMap<(TiId, &str), usize> = HashMap::with_capacity(rows.xcoms.len());
    let mut last: Vec<&XCom> = Vec::with_capacity(rows.xcoms.len());
    for xcom in &rows.xcoms {
        match places.entry((xcom.ti, xcom.key.as_str())) {
            std::collections::hash_map::Entry::Occupied(place) => last[*place.get()] = xcom,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(last.len());
                last.push(xcom);
            }
        }
    }
    last
}

/// The column of a task instance's skips.
fn skips_json(ti: &TaskInstance) -> Result<Option<String>, StoreError> {
    if ti.skips.is_empty() { Ok(None) } else { crate::db::to_json(&ti.skips).map(Some) }
}

/// What a set asks to be changed and is not there.
fn lost_rows(what: &str) -> StoreError {
    StoreError::Broken(format!("the commit names {what} that the store does not have, or has under another name"))
}
