//! Every statement of this crate, so that a test (and `tradewind db check`) can have the database prepare them all.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use tradewind_ports::StoreError;
use tradewind_types::{
    AuditEvent, DagRow, DagRun, DagSource, DagSpec, DagVersion, Pool, PoolName, RunNo, RunState, RunType, SourceKind,
    TaskInstance, TaskState, TaskTry, TiId, Timestamp, UNMAPPED, WriteSet, XCom,
};

use crate::{
    SqlStore, audit, bundles, commit, dags, db::Db, error::from_sqlx, leases, logs, migrate, resources, runs, sql::Sql,
    store::PING, task_instances, xcoms,
};

/// The texts that `db` may be sent.
fn texts(db: &Db) -> Vec<String> {
    let pick = db.pick();
    let mut all: Vec<String> = [
        &[PING],
        migrate::STATEMENTS,
        leases::STATEMENTS,
        dags::STATEMENTS,
        runs::STATEMENTS,
        task_instances::STATEMENTS,
        xcoms::STATEMENTS,
        resources::STATEMENTS,
        bundles::STATEMENTS,
        audit::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .map(|sql: &Sql| pick(sql).to_owned())
    .collect();
    let queries = [
        dags::queries(),
        runs::queries(),
        task_instances::queries(),
        xcoms::queries(),
        resources::queries(),
        audit::queries(),
    ];
    for query in queries.iter().flatten() {
        all.push(query.page(pick));
        all.push(query.count(pick));
    }
    match db {
        Db::Postgres(_) => {
            let more = [leases::POSTGRES_STATEMENTS, logs::POSTGRES_STATEMENTS];
            all.extend(more.into_iter().flatten().map(|text| (*text).to_owned()));
        }
        Db::Sqlite(_) => all.extend(commit::STATEMENTS.iter().map(|sql| sql.sqlite.to_owned())),
    }
    all
}

impl SqlStore {
    /// Has the database prepare every statement of this crate against its schema, and answers how many there are.
    ///
    /// # Errors
    /// The first statement that the database refuses, with its reason.
    pub async fn check_statements(&self) -> Result<usize, StoreError> {
        let texts = texts(&self.db);
        let mut count = texts.len();
        for text in texts {
            let shown = text.clone();
            let sql = AssertSqlSafe(text).into_sql_str();
            let prepared = match &self.db {
                Db::Postgres(db) => db.pool.prepare(sql).await.map(drop),
                Db::Sqlite(db) => {
                    let mut turn = db.writer().await?;
                    let prepared = (&mut turn.connection).prepare(sql).await.map(drop);
                    turn.keep();
                    prepared
                }
            };
            prepared.map_err(|error| StoreError::Schema(format!("{}: {shown}", from_sqlx(error))))?;
        }
        if let Db::Postgres(db) = &self.db {
            for rows in samples() {
                commit::try_out(db, &rows).await?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl SqlStore {
    /// Bounds the size of a SQLite file in pages of 4 KiB: a quota, and how tests fill a disk.
    ///
    /// # Errors
    /// [`StoreError::Config`] on Postgres, which has no such bound.
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        let Db::Sqlite(db) = &self.db else {
            return Err(StoreError::Config("only a SQLite store can be bounded in pages".to_owned()));
        };
        let mut turn = db.writer().await?;
        let pragma = format!("PRAGMA max_page_count = {pages}");
        turn.connection.execute(AssertSqlSafe(pragma)).await.map_err(from_sqlx)?;
        turn.keep();
        Ok(())
    }
}

/// Sets that need each part of a commit alone, and one that needs all of them.
fn samples() -> Vec<WriteSet> {
    let at = Timestamp::UNIX_EPOCH;
    let source = DagSource { kind: SourceKind::Yaml, rel_path: String::new() };
    let spec = DagSpec {
        dag_id: "".into(),
        display_name: None,
        description: None,
        doc_md: None,
        timetable: tradewind_types::Timetable::None,
        schedule_text: None,
        timezone: "UTC".to_owned(),
        start_date: None,
        end_date: None,
        catchup: false,
        max_active_runs: 1,
        max_active_tasks: 1,
        max_consecutive_failed_dag_runs: 0,
        dagrun_timeout: None,
        fail_fast: false,
        is_paused_upon_creation: None,
        tags: Vec::new(),
        owners: Vec::new(),
        params: std::collections::BTreeMap::new(),
        tasks: Vec::new(),
        task_groups: Vec::new(),
        source: source.clone(),
    };
    let run = DagRun {
        run_no: RunNo(1),
        dag_id: "".into(),
        run_id: "".into(),
        run_type: RunType::Manual,
        state: RunState::Queued,
        version: "".into(),
        logical_date: None,
        data_interval_start: None,
        data_interval_end: None,
        run_after: at,
        conf: serde_json::Value::Null,
        queued_at: at,
        start_date: None,
        end_date: None,
        clear_number: 0,
        triggered_by: None,
        note: None,
    };
    let id = TiId::derive(RunNo(1), &"".into(), UNMAPPED);
    let ti = TaskInstance {
        id,
        run_no: RunNo(1),
        dag_id: "".into(),
        run_id: "".into(),
        task_id: "".into(),
        map_index: UNMAPPED,
        operator: String::new(),
        pool: "".into(),
        pool_slots: 1,
        queue: "".into(),
        priority_weight: 1,
        state: TaskState::NoStatus,
        try_number: 0,
        max_tries: 0,
        attempt: 0,
        worker_losses: 0,
        scheduled_at: None,
        queued_at: None,
        start_date: None,
        end_date: None,
        next_at: None,
        first_poke_at: None,
        worker: None,
        token: None,
        note: None,
        skips: Vec::new(),
    };
    let mut parts = vec![WriteSet::default(); 11];
    parts[0].versions.push(Arc::new(DagVersion { hash: "".into(), number: 1, bundle: None, created_at: at, spec }));
    parts[1].dags.insert(
        "".into(),
        DagRow {
            dag_id: "".into(),
            version: "".into(),
            version_number: 1,
            is_paused: false,
            is_stale: false,
            source,
            parsed_at: at,
            failed_runs: 0,
        },
    );
    parts[2].run(&run, true);
    parts[3].run(&DagRun { run_no: RunNo(2), ..run }, false);
    parts[4].task_instance(&ti, true);
    parts[5].task_instance(&TaskInstance { id: TiId::derive(RunNo(2), &"".into(), UNMAPPED), ..ti }, false);
    parts[6].tries.push(TaskTry {
        ti: id,
        run_no: RunNo(1),
        attempt: 1,
        try_number: 1,
        state: TaskState::Failed,
        queued_at: None,
        start_date: None,
        end_date: None,
        worker: None,
        note: None,
    });
    parts[7].xcoms_cleared.push(id);
    parts[8].xcoms.push(XCom {
        ti: TiId::derive(RunNo(1), &"x".into(), UNMAPPED),
        run_no: RunNo(1),
        task_id: "x".into(),
        map_index: UNMAPPED,
        key: String::new(),
        value: serde_json::Value::Null,
        created_at: at,
    });
    parts[9].pools.insert(
        "p".into(),
        Some(Pool { name: "p".into(), slots: 1, description: String::new(), include_deferred: false }),
    );
    parts[9].pools.insert(PoolName::from("q"), None);
    parts[10].audit.push(AuditEvent {
        at,
        event: String::new(),
        by: String::new(),
        dag_id: None,
        run_id: None,
        task_id: None,
        detail: None,
    });
    let mut all = WriteSet::default();
    for part in &parts {
        all.merge(part.clone());
    }
    parts.push(all);
    parts
}
