//! Callbacks.

use tradewind_ports::{CallbackFilter, Listing, Page, StoreError};
use tradewind_types::{Callback, LeaseToken, RunNo, TaskId, TiId, WorkerName};

use crate::{
    db::{Db, Row},
    resources::page_of,
    sql::{Query, Sql},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, run_no, dag_id, run_id, kind, task_id, map_index, try_number, reason, spec, queue, state, ",
            "attempt, worker, token, created_at, start_date, end_date, note FROM callback",
            $tail
        )
    };
}

const LIST: Sql = Sql::both(select!(""));
const NOT_OVER: Sql = Sql::both(select!(" WHERE state IN ('queued', 'running') ORDER BY seq"));

const OF_DAG: Sql = Sql::both("dag_id = ?");
const OF_RUN: Sql = Sql::both("run_id = ?");

fn callback(row: &Row) -> Result<Callback, StoreError> {
    let task = match row.text_opt(5)? {
        None => None,
        Some(task_id) => Some((TaskId::from(task_id), row.number(6)?, row.number(7)?)),
    };
    Ok(Callback {
        id: TiId(row.id(0)?),
        run_no: RunNo(row.uint(1)?),
        dag_id: row.text(2)?.into(),
        run_id: row.text(3)?.into(),
        kind: row.named(4)?,
        task,
        reason: row.text_opt(8)?,
        spec: row.json(9)?,
        queue: row.text(10)?.into(),
        state: row.named(11)?,
        attempt: row.number(12)?,
        worker: row.text_opt(13)?.map(WorkerName::from),
        token: row.id_opt(14)?.map(LeaseToken),
        created_at: row.at(15)?,
        start_date: row.at_opt(16)?,
        end_date: row.at_opt(17)?,
        note: row.text_opt(18)?,
    })
}

/// Those that are not over, oldest first.
pub(crate) async fn not_over(db: &Db) -> Result<Vec<Callback>, StoreError> {
    db.fetch(NOT_OVER, Vec::new()).await?.iter().map(callback).collect()
}

fn listing(filter: &CallbackFilter) -> Query {
    let mut query = Query::new(LIST, " ORDER BY seq DESC");
    if let Some(dag_id) = &filter.dag_id {
        query.and(OF_DAG, dag_id.as_str());
    }
    if let Some(run_id) = &filter.run_id {
        query.and(OF_RUN, run_id.as_str());
    }
    query
}

pub(crate) async fn list(db: &Db, filter: &CallbackFilter, page: Page) -> Result<Listing<Callback>, StoreError> {
    page_of(db, &listing(filter), page, callback).await
}

pub(crate) const STATEMENTS: &[Sql] = &[NOT_OVER];

pub(crate) fn queries() -> Vec<Query> {
    vec![
        listing(&CallbackFilter::default()),
        listing(&CallbackFilter { dag_id: Some("".into()), run_id: Some("".into()) }),
    ]
}
