//! DAG runs.

use tradewind_ports::{Listing, Page, RunFilter, StoreError};
use tradewind_types::{BackfillRef, DagRun, RunNo, Timestamp};

use crate::{
    db::{Db, Row},
    sql::{Arg, Query, Sql, args, int},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT run_no, dag_id, run_id, run_type, state, version, logical_date, data_interval_start, ",
            "data_interval_end, run_after, conf, queued_at, start_date, end_date, clear_number, triggered_by, note, ",
            "backfill, backfill_ordinal, missed_deadlines ",
            "FROM dag_run ",
            $tail
        )
    };
}

const ONE: Sql = Sql::both(select!("WHERE dag_id = $1 AND run_id = $2"));
const BY_LOGICAL_DATE: Sql = Sql::both(select!("WHERE dag_id = $1 AND logical_date = $2"));
const LIST: Sql = Sql::both(select!(""));
const NOT_OVER: Sql = Sql::both(select!("WHERE state IN ('queued', 'running') ORDER BY run_no"));
const LATEST_SCHEDULED: Sql = Sql::both(select!(
    "WHERE run_no IN (SELECT (
        SELECT r.run_no FROM dag_run r WHERE r.dag_id = d.dag_id AND r.run_type = 'scheduled'
        ORDER BY COALESCE(r.logical_date, r.run_after) DESC, r.run_no DESC LIMIT 1
    ) FROM dag d) ORDER BY run_no"
));
/// Finished runs of DAGs that have a scheduled run, with a logical date after the latest one's.
const FINISHED_LATER: Sql = Sql::both(select!(
    "WHERE run_no IN (
        SELECT t.run_no FROM (
            SELECT d.dag_id, (
                SELECT COALESCE(r.logical_date, r.run_after) FROM dag_run r
                WHERE r.dag_id = d.dag_id AND r.run_type = 'scheduled'
                ORDER BY COALESCE(r.logical_date, r.run_after) DESC, r.run_no DESC LIMIT 1
            ) AS date FROM dag d
        ) latest
        JOIN dag_run t ON t.dag_id = latest.dag_id AND COALESCE(t.logical_date, t.run_after) > latest.date
        WHERE t.logical_date IS NOT NULL AND t.state IN ('success', 'failed')
    ) ORDER BY run_no"
));
/// Finished runs of a DAG from the last one before $2 on. Past dependence passes over manual runs where the DAG catches
/// up, so that one is not manual, if there is such a one.
const FINISHED_FROM_BEFORE: Sql = Sql::both(select!(
    "WHERE dag_id = $1 AND state IN ('success', 'failed') AND logical_date >= COALESCE(
        (SELECT logical_date FROM dag_run
            WHERE dag_id = $1 AND logical_date < $2 AND state IN ('success', 'failed') AND run_type <> 'manual'
            ORDER BY logical_date DESC LIMIT 1),
        (SELECT logical_date FROM dag_run
            WHERE dag_id = $1 AND logical_date < $2 AND state IN ('success', 'failed')
            ORDER BY logical_date DESC LIMIT 1),
        $2
    ) ORDER BY run_no"
));
const NUMBERED: Sql = Sql::forked(
    select!("WHERE run_no = ANY ($1) ORDER BY run_no"),
    select!("WHERE run_no IN (SELECT value FROM json_each($1)) ORDER BY run_no"),
);
const NEXT_NO: Sql = Sql::both("SELECT COALESCE(max(run_no), 0) + 1 FROM dag_run");

const OF_DAG: Sql = Sql::both("dag_id = ?");
const IN_STATE: Sql = Sql::forked("state = ANY (?)", "state IN (SELECT value FROM json_each(?))");
const FROM: Sql = Sql::both("COALESCE(logical_date, run_after) >= ?");
const TO: Sql = Sql::both("COALESCE(logical_date, run_after) <= ?");

fn run(row: &Row) -> Result<DagRun, StoreError> {
    Ok(DagRun {
        run_no: RunNo(row.uint(0)?),
        dag_id: row.text(1)?.into(),
        run_id: row.text(2)?.into(),
        run_type: row.named(3)?,
        state: row.named(4)?,
        version: row.text(5)?.into(),
        logical_date: row.at_opt(6)?,
        data_interval_start: row.at_opt(7)?,
        data_interval_end: row.at_opt(8)?,
        run_after: row.at(9)?,
        conf: row.json(10)?,
        queued_at: row.at(11)?,
        start_date: row.at_opt(12)?,
        end_date: row.at_opt(13)?,
        clear_number: row.number(14)?,
        triggered_by: row.text_opt(15)?,
        note: row.text_opt(16)?,
        backfill: match row.int_opt(17)? {
            None => None,
            Some(_) => Some(BackfillRef { no: row.uint(17)?, ordinal: row.number(18)? }),
        },
        missed_deadlines: row.number(19)?,
    })
}

async fn many(db: &Db, sql: Sql, args: Vec<Arg>) -> Result<Vec<DagRun>, StoreError> {
    db.fetch(sql, args).await?.iter().map(run).collect()
}

async fn at_most_one(db: &Db, sql: Sql, args: Vec<Arg>) -> Result<Option<DagRun>, StoreError> {
    db.fetch_one(sql, args).await?.as_ref().map(run).transpose()
}

pub(crate) async fn one(db: &Db, dag_id: &str, run_id: &str) -> Result<Option<DagRun>, StoreError> {
    at_most_one(db, ONE, args![dag_id, run_id]).await
}

pub(crate) async fn by_logical_date(
    db: &Db,
    dag_id: &str,
    logical_date: Timestamp,
) -> Result<Option<DagRun>, StoreError> {
    at_most_one(db, BY_LOGICAL_DATE, args![dag_id, logical_date]).await
}

fn listing(filter: &RunFilter) -> Query {
    let mut query = Query::new(LIST, " ORDER BY COALESCE(logical_date, run_after) DESC, run_no DESC");
    if let Some(dag_id) = &filter.dag_id {
        query.and(OF_DAG, dag_id.as_str());
    }
    if !filter.states.is_empty() {
        let states = filter.states.iter().map(ToString::to_string).collect();
        query.and(IN_STATE, Arg::Texts(states));
    }
    if let Some(from) = filter.from {
        query.and(FROM, from);
    }
    if let Some(to) = filter.to {
        query.and(TO, to);
    }
    query
}

pub(crate) async fn list(db: &Db, filter: &RunFilter, page: Page) -> Result<Listing<DagRun>, StoreError> {
    let (rows, total) = db.fetch_page(&listing(filter), page).await?;
    Ok(Listing { rows: rows.iter().map(run).collect::<Result<_, _>>()?, total })
}

pub(crate) async fn not_over(db: &Db) -> Result<Vec<DagRun>, StoreError> {
    many(db, NOT_OVER, Vec::new()).await
}

/// Of each DAG the latest run of type `scheduled`.
pub(crate) async fn latest_scheduled(db: &Db) -> Result<Vec<DagRun>, StoreError> {
    many(db, LATEST_SCHEDULED, Vec::new()).await
}

/// Of each DAG the runs that are over and have a later logical date than its latest run of type `scheduled`.
pub(crate) async fn finished_later(db: &Db) -> Result<Vec<DagRun>, StoreError> {
    many(db, FINISHED_LATER, Vec::new()).await
}

/// A DAG's runs that are over, from the last one before `date` on.
pub(crate) async fn finished_from_before(db: &Db, dag_id: &str, date: Timestamp) -> Result<Vec<DagRun>, StoreError> {
    many(db, FINISHED_FROM_BEFORE, args![dag_id, date]).await
}

/// The runs with these numbers.
pub(crate) async fn numbered(db: &Db, numbers: &[RunNo]) -> Result<Vec<DagRun>, StoreError> {
    many(db, NUMBERED, vec![Arg::Ints(numbers.iter().map(|no| int(no.0)).collect())]).await
}

/// One more than the highest run number.
pub(crate) async fn next_no(db: &Db) -> Result<u64, StoreError> {
    db.fetch_one(NEXT_NO, Vec::new()).await?.map_or(Ok(1), |row| row.uint(0))
}

pub(crate) const STATEMENTS: &[Sql] =
    &[ONE, BY_LOGICAL_DATE, NOT_OVER, LATEST_SCHEDULED, FINISHED_LATER, FINISHED_FROM_BEFORE, NUMBERED, NEXT_NO];

pub(crate) fn queries() -> Vec<Query> {
    vec![
        listing(&RunFilter::default()),
        listing(&RunFilter {
            dag_id: Some("".into()),
            states: vec![tradewind_types::RunState::Queued],
            from: Some(Timestamp::UNIX_EPOCH),
            to: Some(Timestamp::UNIX_EPOCH),
        }),
    ]
}
