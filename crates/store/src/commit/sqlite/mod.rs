//! A commit on SQLite is a transaction on the one connection that writes, a statement a row: there is no network between.

mod events;

use sqlx::{Executor, Row, sqlite::SqliteConnection};
use tradewind_ports::StoreError;
use tradewind_types::{DagRow, DagRun, DagVersion, Pool, TaskInstance, TaskTry, Term, WorkerName, WriteSet, XCom};
use uuid::Uuid;

use super::{json_opt, json_unless_empty, last_xcoms, lost_rows};
use crate::{
    audit,
    dags::kind_name,
    db::{SqliteDb, execute_sqlite, to_json},
    error::from_sqlx,
    sql::{Arg, Sql, args, int},
};

const GUARD: &str = "SELECT count(*) FROM lease WHERE shard = $1 AND term = $2 AND owner IS NOT NULL";

const VERSION: &str = "INSERT INTO dag_version (dag_id, hash, number, bundle, created_at, spec)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (dag_id, hash) DO NOTHING";

const DAG: &str = "INSERT INTO dag
        (dag_id, version, version_number, is_paused, is_stale, source_kind, rel_path, parsed_at, failed_runs,
         pending_assets, runtimes, schedule_error, last_scheduled_start, last_scheduled_end)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (dag_id) DO UPDATE SET version = excluded.version, version_number = excluded.version_number,
        is_paused = excluded.is_paused, is_stale = excluded.is_stale, source_kind = excluded.source_kind,
        rel_path = excluded.rel_path, parsed_at = excluded.parsed_at, failed_runs = excluded.failed_runs,
        pending_assets = excluded.pending_assets, runtimes = excluded.runtimes,
        schedule_error = excluded.schedule_error, last_scheduled_start = excluded.last_scheduled_start,
        last_scheduled_end = excluded.last_scheduled_end";

const NEW_RUN: &str = "INSERT INTO dag_run AS t
        (run_no, run_type, conf, state, version, queued_at, start_date, end_date, clear_number, note, backfill,
         backfill_ordinal, missed_deadlines, dag_id, run_id, logical_date, data_interval_start, data_interval_end,
         run_after, triggered_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
    ON CONFLICT (run_no) DO UPDATE SET run_type = excluded.run_type, conf = excluded.conf, state = excluded.state,
        version = excluded.version, queued_at = excluded.queued_at, start_date = excluded.start_date,
        end_date = excluded.end_date, clear_number = excluded.clear_number, note = excluded.note,
        backfill = excluded.backfill, backfill_ordinal = excluded.backfill_ordinal,
        missed_deadlines = excluded.missed_deadlines
    WHERE t.dag_id = excluded.dag_id AND t.run_id = excluded.run_id";

const RUN: &str = "UPDATE dag_run SET run_type = $2, conf = $3, state = $4, version = $5, queued_at = $6,
        start_date = $7, end_date = $8, clear_number = $9, note = $10, backfill = $11, backfill_ordinal = $12,
        missed_deadlines = $13
    WHERE run_no = $1";

const NEW_INSTANCE: &str = "INSERT INTO task_instance AS t
        (id, map_index, state, try_number, max_tries, attempt, worker_losses, scheduled_at, queued_at, start_date,
         end_date, next_at, first_poke_at, worker, token, note, skips, deferral, reschedules, rendered_map_index,
         xcom_length, run_no, task_id, operator, pool, pool_slots, queue, priority_weight)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $28)
    ON CONFLICT (id) DO UPDATE SET map_index = excluded.map_index, state = excluded.state,
        try_number = excluded.try_number, max_tries = excluded.max_tries, attempt = excluded.attempt,
        worker_losses = excluded.worker_losses, scheduled_at = excluded.scheduled_at, queued_at = excluded.queued_at,
        start_date = excluded.start_date, end_date = excluded.end_date, next_at = excluded.next_at,
        first_poke_at = excluded.first_poke_at, worker = excluded.worker, token = excluded.token,
        note = excluded.note, skips = excluded.skips, deferral = excluded.deferral,
        reschedules = excluded.reschedules, rendered_map_index = excluded.rendered_map_index,
        xcom_length = excluded.xcom_length, operator = excluded.operator, pool = excluded.pool,
        pool_slots = excluded.pool_slots, queue = excluded.queue, priority_weight = excluded.priority_weight
    WHERE t.run_no = excluded.run_no AND t.task_id = excluded.task_id";

const INSTANCE: &str = "UPDATE task_instance SET map_index = $2, state = $3, try_number = $4, max_tries = $5,
        attempt = $6, worker_losses = $7, scheduled_at = $8, queued_at = $9, start_date = $10, end_date = $11,
        next_at = $12, first_poke_at = $13, worker = $14, token = $15, note = $16, skips = $17, deferral = $18,
        reschedules = $19, rendered_map_index = $20, xcom_length = $21
    WHERE id = $1";

const TRY: &str = "INSERT INTO task_try
        (ti, attempt, run_no, try_number, state, queued_at, start_date, end_date, worker, note)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (ti, attempt) DO NOTHING";

const CLEAR_XCOMS: &str = "DELETE FROM xcom WHERE ti = $1";

const XCOM: &str =
    "INSERT INTO xcom (ti, key, run_no, task_id, map_index, value, created_at, object_url, object_size, object_sha256)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (ti, key) DO UPDATE SET run_no = excluded.run_no, task_id = excluded.task_id,
        map_index = excluded.map_index, value = excluded.value, created_at = excluded.created_at,
        object_url = excluded.object_url, object_size = excluded.object_size, object_sha256 = excluded.object_sha256";

const POOL: &str = "INSERT INTO pool (name, slots, description, include_deferred, rate_starts, rate_seconds)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, description = excluded.description,
        include_deferred = excluded.include_deferred, rate_starts = excluded.rate_starts,
        rate_seconds = excluded.rate_seconds";

const DELETE_POOL: &str = "DELETE FROM pool WHERE name = $1";

fn version_args(version: &DagVersion) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        version.spec.dag_id.as_str(),
        version.hash.as_str(),
        version.number,
        version.bundle.as_ref().map(|bundle| bundle.as_str()),
        version.created_at,
        to_json(&version.spec)?.as_str(),
    ])
}

fn dag_args(dag: &DagRow) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        dag.dag_id.as_str(),
        dag.version.as_str(),
        dag.version_number,
        dag.is_paused,
        dag.is_stale,
        kind_name(dag.source.kind),
        dag.source.rel_path.as_str(),
        dag.parsed_at,
        dag.failed_runs,
        json_unless_empty(&dag.pending_assets)?.as_deref(),
        json_unless_empty(&dag.runtimes)?.as_deref(),
        dag.schedule_error.as_deref(),
        dag.last_scheduled.map(|(start, _)| start),
        dag.last_scheduled.map(|(_, end)| end),
    ])
}

/// What `RUN` and `NEW_RUN` have in common.
fn run_args(run: &DagRun) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        run.run_no.0,
        run.run_type.as_str(),
        to_json(&run.conf)?.as_str(),
        run.state.as_str(),
        run.version.as_str(),
        run.queued_at,
        run.start_date,
        run.end_date,
        run.clear_number,
        run.note.as_deref(),
        run.backfill.map(|backfill| int(backfill.no)),
        run.backfill.map(|backfill| i64::from(backfill.ordinal)),
        run.missed_deadlines,
    ])
}

fn new_run_args(run: &DagRun) -> Result<Vec<Arg>, StoreError> {
    let mut all = run_args(run)?;
    all.extend(args![
        run.dag_id.as_str(),
        run.run_id.as_str(),
        run.logical_date,
        run.data_interval_start,
        run.data_interval_end,
        run.run_after,
        run.triggered_by.as_deref(),
    ]);
    Ok(all)
}

/// What `INSTANCE` and `NEW_INSTANCE` have in common.
fn instance_args(ti: &TaskInstance) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        ti.id.0,
        ti.map_index,
        ti.state.as_str(),
        ti.try_number,
        ti.max_tries,
        ti.attempt,
        ti.worker_losses,
        ti.scheduled_at,
        ti.queued_at,
        ti.start_date,
        ti.end_date,
        ti.next_at,
        ti.first_poke_at,
        ti.worker.as_ref().map(WorkerName::as_str),
        ti.token.map(|token| token.0),
        ti.note.as_deref(),
        json_unless_empty(&ti.skips)?.as_deref(),
        json_opt(ti.deferral.as_ref())?.as_deref(),
        ti.reschedules,
        ti.rendered_map_index.as_deref(),
        ti.xcom_length.map(i64::from),
    ])
}

fn new_instance_args(ti: &TaskInstance) -> Result<Vec<Arg>, StoreError> {
    let mut all = instance_args(ti)?;
    all.extend(args![
        ti.run_no.0,
        ti.task_id.as_str(),
        ti.operator.as_str(),
        ti.pool.as_str(),
        ti.pool_slots,
        ti.queue.as_str(),
        ti.priority_weight,
    ]);
    Ok(all)
}

fn try_args(past: &TaskTry) -> Vec<Arg> {
    args![
        past.ti.0,
        past.attempt,
        past.run_no.0,
        past.try_number,
        past.state.as_str(),
        past.queued_at,
        past.start_date,
        past.end_date,
        past.worker.as_ref().map(WorkerName::as_str),
        past.note.as_deref(),
    ]
}

fn xcom_args(xcom: &XCom) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        xcom.ti.0,
        xcom.key.as_str(),
        xcom.run_no.0,
        xcom.task_id.as_str(),
        xcom.map_index,
        to_json(&xcom.value)?.as_str(),
        xcom.created_at,
        xcom.object.as_ref().map(|object| object.url.as_str()),
        xcom.object.as_ref().map(|object| int(object.size)),
        xcom.object.as_ref().map(|object| object.sha256.as_str()),
    ])
}

fn pool_args(pool: &Pool) -> Vec<Arg> {
    args![
        pool.name.as_str(),
        pool.slots,
        pool.description.as_str(),
        pool.include_deferred,
        pool.rate.map(|rate| i64::from(rate.starts)),
        pool.rate.map(|rate| i64::from(rate.per_secs)),
    ]
}

pub(super) async fn commit(db: &SqliteDb, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    let mut turn = db.writer().await?;
    let connection = &mut turn.connection;
    connection.execute("BEGIN IMMEDIATE").await.map_err(from_sqlx)?;
    if let Err(error) = write(connection, shard, term, rows).await {
        // Some errors, a full disk for one, end the transaction by themselves; then the connection is dropped.
        if connection.execute("ROLLBACK").await.is_ok() {
            turn.keep();
        }
        return Err(error);
    }
    connection.execute("COMMIT").await.map_err(from_sqlx)?;
    turn.keep();
    Ok(())
}

async fn write(connection: &mut SqliteConnection, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    let held: i64 = sqlx::query(GUARD)
        .bind(i64::from(shard))
        .bind(int(term.0))
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(from_sqlx)?;
    if held == 0 {
        return Err(StoreError::StaleTerm);
    }
    for version in &rows.versions {
        execute_sqlite(connection, VERSION, version_args(version)?).await?;
    }
    for dag in rows.dags.values() {
        execute_sqlite(connection, DAG, dag_args(dag)?).await?;
    }
    events::write_assets(connection, rows).await?;
    events::write_backfills(connection, rows).await?;
    for run in rows.runs.values() {
        let (touched, what) = if run.is_new {
            let touched = execute_sqlite(connection, NEW_RUN, new_run_args(&run.row)?).await?;
            (touched, "a new run")
        } else {
            let touched = execute_sqlite(connection, RUN, run_args(&run.row)?).await?;
            (touched, "a run")
        };
        if touched == 0 {
            return Err(lost_rows(what));
        }
    }
    for ti in rows.task_instances.values() {
        let (touched, what) = if ti.is_new {
            let touched = execute_sqlite(connection, NEW_INSTANCE, new_instance_args(&ti.row)?).await?;
            (touched, "a new task instance")
        } else {
            let touched = execute_sqlite(connection, INSTANCE, instance_args(&ti.row)?).await?;
            (touched, "a task instance")
        };
        if touched == 0 {
            return Err(lost_rows(what));
        }
    }
    for past in &rows.tries {
        execute_sqlite(connection, TRY, try_args(past)).await?;
    }
    for ti in &rows.xcoms_cleared {
        execute_sqlite(connection, CLEAR_XCOMS, args![ti.0]).await?;
    }
    for xcom in last_xcoms(rows) {
        execute_sqlite(connection, XCOM, xcom_args(xcom)?).await?;
    }
    for (name, pool) in &rows.pools {
        match pool {
            Some(pool) => execute_sqlite(connection, POOL, pool_args(pool)).await?,
            None => execute_sqlite(connection, DELETE_POOL, args![name.as_str()]).await?,
        };
    }
    events::write_events(connection, rows).await?;
    let batch = Uuid::new_v4();
    for (position, event) in (0_i64..).zip(&rows.audit) {
        let args = audit::add_args(batch, position, event);
        execute_sqlite(connection, audit::ADD.sqlite, args).await?;
    }
    Ok(())
}

pub(crate) use events::STATEMENTS as EVENT_STATEMENTS;

/// For the test that prepares every statement.
pub(crate) const STATEMENTS: &[Sql] = &[
    Sql::both(GUARD),
    Sql::both(VERSION),
    Sql::both(DAG),
    Sql::both(NEW_RUN),
    Sql::both(RUN),
    Sql::both(NEW_INSTANCE),
    Sql::both(INSTANCE),
    Sql::both(TRY),
    Sql::both(CLEAR_XCOMS),
    Sql::both(XCOM),
    Sql::both(POOL),
    Sql::both(DELETE_POOL),
];
