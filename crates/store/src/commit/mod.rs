//! The leader's commits: one transaction each, guarded by the term.
//!
//! A commit may be repeated under the same term, e.g. when its outcome is unknown: new rows are inserted or, where they
//! are there already, brought to the same values. It changes only what the guard lets it: no row at all when the term is
//! over.

mod postgres;
mod sqlite;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

pub(crate) use postgres::try_out;
use serde::Serialize;
pub(crate) use sqlite::{EVENT_STATEMENTS, STATEMENTS};
use tradewind_ports::StoreError;
use tradewind_types::{BackfillItem, Term, WriteSet, XCom};

use crate::db::{Db, to_json};

pub(crate) async fn commit(db: &Db, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    match db {
        Db::Postgres(db) => postgres::commit(db, shard, term, rows).await,
        Db::Sqlite(db) => sqlite::commit(db, shard, term, rows).await,
    }
}

/// The last of each name alone, in the order of the first: a statement may write a row only once.
fn last_of<'a, T, K: Eq + Hash>(rows: impl IntoIterator<Item = &'a T>, name: impl Fn(&'a T) -> K) -> Vec<&'a T> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut last: Vec<&T> = Vec::new();
    for row in rows {
        match places.entry(name(row)) {
            Entry::Occupied(place) => last[*place.get()] = row,
            Entry::Vacant(place) => {
                place.insert(last.len());
                last.push(row);
            }
        }
    }
    last
}

fn last_xcoms(rows: &WriteSet) -> Vec<&XCom> {
    last_of(&rows.xcoms, |xcom| (xcom.ti, xcom.key.as_str()))
}

fn last_items(rows: &WriteSet) -> Vec<&BackfillItem> {
    last_of(&rows.backfill_items, |item| (item.backfill, item.ordinal))
}

/// A column of JSON that is null when there is nothing.
fn json_unless_empty<T: Serialize>(values: &[T]) -> Result<Option<String>, StoreError> {
    if values.is_empty() { Ok(None) } else { to_json(&values).map(Some) }
}

/// A column of JSON that may be null.
fn json_opt<T: Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(to_json).transpose()
}

/// What a set asks to be changed and is not there.
fn lost_rows(what: &str) -> StoreError {
    StoreError::Broken(format!("the commit names {what} that the store does not have, or has under another name"))
}
