//! The audit trail.

use tradewind_ports::{Listing, Page, StoreError};
use tradewind_types::{AuditEvent, DagId, RunId, TaskId};
use uuid::Uuid;

use crate::{
    db::{Db, Row},
    sql::{Arg, Query, Sql, args},
};

/// Adds a line. A line is named by the call that brought it and its place there: a repeated call adds nothing.
pub(crate) const ADD: Sql = Sql::both(
    "INSERT INTO audit (batch, position, at, event, actor, dag_id, run_id, task_id, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (batch, position) DO NOTHING",
);

const LIST: Sql = Sql::both("SELECT at, event, actor, dag_id, run_id, task_id, detail, id FROM audit");

fn event(row: &Row) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        at: row.at(0)?,
        event: row.text(1)?,
        by: row.text(2)?,
        dag_id: row.text_opt(3)?.map(DagId::from),
        run_id: row.text_opt(4)?.map(RunId::from),
        task_id: row.text_opt(5)?.map(TaskId::from),
        detail: row.text_opt(6)?,
    })
}

pub(crate) fn add_args(batch: Uuid, position: i64, event: &AuditEvent) -> Vec<Arg> {
    args![
        batch,
        position,
        event.at,
        event.event.as_str(),
        event.by.as_str(),
        event.dag_id.as_ref().map(DagId::as_str),
        event.run_id.as_ref().map(RunId::as_str),
        event.task_id.as_ref().map(TaskId::as_str),
        event.detail.as_deref(),
    ]
}

pub(crate) async fn put(db: &Db, event: &AuditEvent) -> Result<(), StoreError> {
    db.execute(ADD, add_args(Uuid::new_v4(), 0, event)).await.map(drop)
}

fn listing() -> Query {
    Query::new(LIST, " ORDER BY id DESC")
}

pub(crate) async fn list(db: &Db, page: Page) -> Result<Listing<AuditEvent>, StoreError> {
    let (rows, total) = db.fetch_page(&listing(), page).await?;
    Ok(Listing { rows: rows.iter().map(event).collect::<Result<_, _>>()?, total })
}

pub(crate) const STATEMENTS: &[Sql] = &[ADD];

pub(crate) fn queries() -> Vec<Query> {
    vec![listing()]
}
