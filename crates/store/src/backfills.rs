//! Backfills.

use tradewind_ports::{Listing, Page, StoreError};
use tradewind_types::{Backfill, BackfillItem, RunNo};

use crate::{
    db::{Db, Row},
    resources::page_of,
    sql::{Query, Sql, args},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT no, dag_id, from_date, to_date, max_active_runs, reprocess, backwards, conf, is_paused, ",
            "created_at, completed_at, made_by FROM backfill",
            $tail
        )
    };
}

const ONE: Sql = Sql::both(select!(" WHERE no = $1"));
const NOT_COMPLETED: Sql = Sql::both(select!(" WHERE completed_at IS NULL ORDER BY no"));
const LIST: Sql = Sql::both(select!(""));
const ITEMS: Sql = Sql::both(
    "SELECT backfill, ordinal, logical_date, run_no, skipped FROM backfill_item WHERE backfill = $1 ORDER BY ordinal",
);
const NEXT_NO: Sql = Sql::both("SELECT COALESCE(max(no), 0) + 1 FROM backfill");

const OF_DAG: Sql = Sql::both("dag_id = ?");

fn backfill(row: &Row) -> Result<Backfill, StoreError> {
    Ok(Backfill {
        no: row.uint(0)?,
        dag_id: row.text(1)?.into(),
        from: row.at(2)?,
        to: row.at(3)?,
        max_active_runs: row.number(4)?,
        reprocess: row.named(5)?,
        backwards: row.truth(6)?,
        conf: row.json(7)?,
        is_paused: row.truth(8)?,
        created_at: row.at(9)?,
        completed_at: row.at_opt(10)?,
        by: row.text(11)?,
    })
}

fn item(row: &Row) -> Result<BackfillItem, StoreError> {
    Ok(BackfillItem {
        backfill: row.uint(0)?,
        ordinal: row.number(1)?,
        logical_date: row.at(2)?,
        run_no: row.number_opt(3)?.map(RunNo),
        skipped: row.text_opt(4)?,
    })
}

pub(crate) async fn one(db: &Db, no: u64) -> Result<Option<(Backfill, Vec<BackfillItem>)>, StoreError> {
    let Some(row) = db.fetch_one(ONE, args![no]).await? else { return Ok(None) };
    let items = db.fetch(ITEMS, args![no]).await?.iter().map(item).collect::<Result<_, _>>()?;
    Ok(Some((backfill(&row)?, items)))
}

pub(crate) async fn not_completed(db: &Db) -> Result<Vec<Backfill>, StoreError> {
    db.fetch(NOT_COMPLETED, Vec::new()).await?.iter().map(backfill).collect()
}

fn listing(dag_id: Option<&str>) -> Query {
    let mut query = Query::new(LIST, " ORDER BY no DESC");
    if let Some(dag_id) = dag_id {
        query.and(OF_DAG, dag_id);
    }
    query
}

pub(crate) async fn list(db: &Db, dag_id: Option<&str>, page: Page) -> Result<Listing<Backfill>, StoreError> {
    page_of(db, &listing(dag_id), page, backfill).await
}

/// One more than the highest number of a backfill.
pub(crate) async fn next_no(db: &Db) -> Result<u64, StoreError> {
    db.fetch_one(NEXT_NO, Vec::new()).await?.map_or(Ok(1), |row| row.uint(0))
}

pub(crate) const STATEMENTS: &[Sql] = &[ONE, NOT_COMPLETED, ITEMS, NEXT_NO];

pub(crate) fn queries() -> Vec<Query> {
    vec![listing(None), listing(Some(""))]
}
