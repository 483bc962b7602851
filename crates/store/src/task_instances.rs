//! Task instances and their past attempts.

use tradewind_ports::{Listing, Page, StoreError, TaskInstanceFilter};
use tradewind_types::{LeaseToken, RunNo, TaskInstance, TaskTry, TiId, WorkerName};

use crate::{
    db::{Db, Row},
    sql::{Arg, Query, Sql, args, int},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT t.id, t.run_no, r.dag_id, r.run_id, t.task_id, t.map_index, t.operator, t.pool, t.pool_slots, ",
            "t.queue, t.priority_weight, t.state, t.try_number, t.max_tries, t.attempt, t.worker_losses, ",
            "t.scheduled_at, t.queued_at, t.start_date, t.end_date, t.next_at, t.first_poke_at, t.worker, t.token, ",
            "t.note, t.skips, t.deferral, t.reschedules, t.rendered_map_index, t.xcom_length ",
            "FROM task_instance t JOIN dag_run r ON r.run_no = t.run_no ",
            $tail
        )
    };
}

const ONE: Sql = Sql::both(select!("WHERE t.id = $1"));
const OF_RUN: Sql = Sql::both(select!("WHERE r.dag_id = $1 AND r.run_id = $2 ORDER BY t.seq"));
const OF_ACTIVE_RUNS: Sql = Sql::both(select!("WHERE r.state IN ('queued', 'running') ORDER BY t.run_no, t.seq"));
const OF_RUNS: Sql = Sql::forked(
    select!("WHERE t.run_no = ANY ($1) ORDER BY t.run_no, t.seq"),
    select!("WHERE t.run_no IN (SELECT value FROM json_each($1)) ORDER BY t.run_no, t.seq"),
);
const LIST: Sql = Sql::both(select!(""));

const TRIES: Sql = Sql::both(
    "SELECT ti, run_no, attempt, try_number, state, queued_at, start_date, end_date, worker, note
    FROM task_try WHERE ti = $1 ORDER BY attempt",
);

const OF_DAG: Sql = Sql::both("r.dag_id = ?");
const OF_RUN_ID: Sql = Sql::both("r.run_id = ?");
const OF_TASK: Sql = Sql::both("t.task_id = ?");
const IN_STATE: Sql = Sql::forked("t.state = ANY (?)", "t.state IN (SELECT value FROM json_each(?))");

fn task_instance(row: &Row) -> Result<TaskInstance, StoreError> {
    Ok(TaskInstance {
        id: TiId(row.id(0)?),
        run_no: RunNo(row.uint(1)?),
        dag_id: row.text(2)?.into(),
        run_id: row.text(3)?.into(),
        task_id: row.text(4)?.into(),
        map_index: row.number(5)?,
        operator: row.text(6)?,
        pool: row.text(7)?.into(),
        pool_slots: row.number(8)?,
        queue: row.text(9)?.into(),
        priority_weight: row.int(10)?,
        state: row.named(11)?,
        try_number: row.number(12)?,
        max_tries: row.number(13)?,
        attempt: row.number(14)?,
        worker_losses: row.number(15)?,
        scheduled_at: row.at_opt(16)?,
        queued_at: row.at_opt(17)?,
        start_date: row.at_opt(18)?,
        end_date: row.at_opt(19)?,
        next_at: row.at_opt(20)?,
        first_poke_at: row.at_opt(21)?,
        worker: row.text_opt(22)?.map(WorkerName::from),
        token: row.id_opt(23)?.map(LeaseToken),
        note: row.text_opt(24)?,
        skips: row.json_opt(25)?.unwrap_or_default(),
        deferral: row.json_opt(26)?,
        reschedules: row.number(27)?,
        rendered_map_index: row.text_opt(28)?,
        xcom_length: row.number_opt(29)?,
    })
}

fn task_try(row: &Row) -> Result<TaskTry, StoreError> {
    Ok(TaskTry {
        ti: TiId(row.id(0)?),
        run_no: RunNo(row.uint(1)?),
        attempt: row.number(2)?,
        try_number: row.number(3)?,
        state: row.named(4)?,
        queued_at: row.at_opt(5)?,
        start_date: row.at_opt(6)?,
        end_date: row.at_opt(7)?,
        worker: row.text_opt(8)?.map(WorkerName::from),
        note: row.text_opt(9)?,
    })
}

pub(crate) async fn one(db: &Db, id: TiId) -> Result<Option<TaskInstance>, StoreError> {
    let row = db.fetch_one(ONE, args![id.0]).await?;
    row.as_ref().map(task_instance).transpose()
}

pub(crate) async fn of_run(db: &Db, dag_id: &str, run_id: &str) -> Result<Vec<TaskInstance>, StoreError> {
    let rows = db.fetch(OF_RUN, args![dag_id, run_id]).await?;
    rows.iter().map(task_instance).collect()
}

/// The task instances of all runs that are not over.
pub(crate) async fn of_active_runs(db: &Db) -> Result<Vec<TaskInstance>, StoreError> {
    let rows = db.fetch(OF_ACTIVE_RUNS, Vec::new()).await?;
    rows.iter().map(task_instance).collect()
}

/// The task instances of the runs with these numbers.
pub(crate) async fn of_runs(db: &Db, numbers: &[RunNo]) -> Result<Vec<TaskInstance>, StoreError> {
    let rows = db.fetch(OF_RUNS, vec![Arg::Ints(numbers.iter().map(|no| int(no.0)).collect())]).await?;
    rows.iter().map(task_instance).collect()
}

fn listing(filter: &TaskInstanceFilter) -> Query {
    let mut query = Query::new(LIST, " ORDER BY t.run_no, t.seq");
    if let Some(dag_id) = &filter.dag_id {
        query.and(OF_DAG, dag_id.as_str());
    }
    if let Some(run_id) = &filter.run_id {
        query.and(OF_RUN_ID, run_id.as_str());
    }
    if let Some(task_id) = &filter.task_id {
        query.and(OF_TASK, task_id.as_str());
    }
    if !filter.states.is_empty() {
        let states = filter.states.iter().map(ToString::to_string).collect();
        query.and(IN_STATE, Arg::Texts(states));
    }
    query
}

pub(crate) async fn list(
    db: &Db,
    filter: &TaskInstanceFilter,
    page: Page,
) -> Result<Listing<TaskInstance>, StoreError> {
    let (rows, total) = db.fetch_page(&listing(filter), page).await?;
    Ok(Listing { rows: rows.iter().map(task_instance).collect::<Result<_, _>>()?, total })
}

pub(crate) async fn tries(db: &Db, ti: TiId) -> Result<Vec<TaskTry>, StoreError> {
    let rows = db.fetch(TRIES, args![ti.0]).await?;
    rows.iter().map(task_try).collect()
}

pub(crate) const STATEMENTS: &[Sql] = &[ONE, OF_RUN, OF_ACTIVE_RUNS, OF_RUNS, TRIES];

pub(crate) fn queries() -> Vec<Query> {
    vec![
        listing(&TaskInstanceFilter::default()),
        listing(&TaskInstanceFilter {
            dag_id: Some("".into()),
            run_id: Some("".into()),
            task_id: Some(String::new()),
            states: vec![tradewind_types::TaskState::Queued],
        }),
    ]
}
