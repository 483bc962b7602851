//! A commit on SQLite is a transaction on the one connection that writes, a statement a row: there is no network between.

use sqlx::{Executor, Row, sqlite::SqliteConnection};
use tradewind_ports::StoreError;
use tradewind_types::{DagRow, DagRun, DagVersion, Pool, TaskInstance, TaskTry, Term, WorkerName, WriteSet, XCom};
use uuid::Uuid;

use super::{last_xcoms, lost_rows, skips_json};
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
        (dag_id, version, version_number, is_paused, is_stale, source_kind, rel_path, parsed_at, failed_runs)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (dag_id) DO UPDATE SET version = excluded.version, version_number = excluded.version_number,
        is_paused = excluded.is_paused, is_stale = excluded.is_stale, source_kind = excluded.source_kind,
        rel_path = excluded.rel_path, parsed_at = excluded.parsed_at,
        failed_runs = excluded.failed_runs";

const NEW_RUN: &str = "INSERT INTO dag_run AS t
        (run_no, state, version, queued_at, start_date, end_date, clear_number, note,
         dag_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after, conf, triggered_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (run_no) DO UPDATE SET state = excluded.state, version = excluded.version,
        queued_at = excluded.queued_at, start_date = excluded.start_date, end_date = excluded.end_date,
        clear_number = excluded.clear_number, note = excluded.note
    WHERE t.dag_id = excluded.dag_id AND t.run_id = excluded.run_id";

const RUN: &str = "UPDATE dag_run SET state = $2, version = $3, queued_at = $4, start_date = $5, end_date = $6,
        clear_number = $7, note = $8
    WHERE run_no = $1";

const NEW_INSTANCE: &str = "INSERT INTO task_instance AS t
        (id, state, try_number, max_tries, attempt, worker_losses, scheduled_at, queued_at, start_date, end_date, next_at,
         first_poke_at, worker, token, note, skips,
         run_no, task_id, map_index, operator, pool, pool_slots, queue, priority_weight)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, try_number = excluded.try_number,
        max_tries = excluded.max_tries, attempt = excluded.attempt, worker_losses = excluded.worker_losses,
        scheduled_at = excluded.scheduled_at, queued_at = excluded.queued_at, start_date = excluded.start_date,
        end_date = excluded.end_date, next_at = excluded.next_at, first_poke_at = excluded.first_poke_at,
        worker = excluded.worker, token = excluded.token, note = excluded.note, skips = excluded.skips
    WHERE t.run_no = excluded.run_no AND t.task_id = excluded.task_id";

const INSTANCE: &str = "UPDATE task_instance SET state = $2, try_number = $3, max_tries = $4, attempt = $5,
        worker_losses = $6, scheduled_at = $7, queued_at = $8, start_date = $9, end_date = $10, next_at = $11,
        first_poke_at = $12, worker = $13, token = $14, note = $15, skips = $16
    WHERE id = $1";

const TRY: &str = "INSERT INTO task_try
        (ti, attempt, run_no, try_number, state, queued_at, start_date, end_date, worker, note)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (ti, attempt) DO NOTHING";

const CLEAR_XCOMS: &str = "DELETE FROM xcom WHERE ti = $1";

const XCOM: &str = "INSERT INTO xcom (ti, key, run_no, task_id, map_index, value, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (ti, key) DO UPDATE SET run_no = excluded.run_no, task_id = excluded.task_id,
        map_index = excluded.map_index, value = excluded.value, created_at = excluded.created_at";

const POOL: &str = "INSERT INTO pool (name, slots, description, include_deferred) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, description = excluded.description,
        include_deferred = excluded.include_deferred";

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

fn dag_args(dag: &DagRow) -> Vec<Arg> {
    args![
        dag.dag_id.as_str(),
        dag.version.as_str(),
        dag.version_number,
        dag.is_paused,
        dag.is_stale,
        kind_name(dag.source.kind),
        dag.source.rel_path.as_str(),
        dag.parsed_at,
        dag.failed_runs,
    ]
}

/// What `RUN` and `NEW_RUN` have in common.
fn run_args(run: &DagRun) -> Vec<Arg> {
    args![
        run.run_no.0,
        run.state.as_str(),
        run.version.as_str(),
        run.queued_at,
        run.start_date,
        run.end_date,
        run.clear_number,
        run.note.as_deref(),
    ]
}

fn new_run_args(run: &DagRun) -> Result<Vec<Arg>, StoreError> {
    let mut all = run_args(run);
    all.extend(args![
        run.dag_id.as_str(),
        run.run_id.as_str(),
        run.run_type.as_str(),
        run.logical_date,
        run.data_interval_start,
        run.data_interval_end,
        run.run_after,
        to_json(&run.conf)?.as_str(),
        run.triggered_by.as_deref(),
    ]);
    Ok(all)
}

/// What `INSTANCE` and `NEW_INSTANCE` have in common.
fn instance_args(ti: &TaskInstance) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        ti.id.0,
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
        skips_json(ti)?.as_deref(),
    ])
}

fn new_instance_args(ti: &TaskInstance) -> Result<Vec<Arg>, StoreError> {
    let mut all = instance_args(ti)?;
    all.extend(args![
        ti.run_no.0,
        ti.task_id.as_str(),
        ti.map_index,
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
    ])
}

fn pool_args(pool: &Pool) -> Vec<Arg> {
    args![pool.name.as_str(), pool.slots, pool.description.as_str(), pool.include_deferred,]
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
        execute_sqlite(connection, DAG, dag_args(dag)).await?;
    }
    for run in rows.runs.values() {
        let (touched, what) = if run.is_new {
            let touched = execute_sqlite(connection, NEW_RUN, new_run_args(&run.row)?).await?;
            (touched, "a new run")
        } else {
            let touched = execute_sqlite(connection, RUN, run_args(&run.row)).await?;
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
    let batch = Uuid::new_v4();
    for (position, event) in (0_i64..).zip(&rows.audit) {
        let args = audit::add_args(batch, position, event);
        execute_sqlite(connection, audit::ADD.sqlite, args).await?;
    }
    Ok(())
}

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
