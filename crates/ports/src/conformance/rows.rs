//! Rows for the cases: small ones, and ones with something in every field.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tradewind_types::{
    Asset, AssetEvent, AssetKey, AssetSource, Backfill, Callback, CallbackKind, CallbackState, DEFAULT_SHARD, DagRow,
    DagRun, DagSource, DagSpec, DagVersion, Deferral, HumanInput, LeaseToken, Operator, Reprocess, Resume, RunNo,
    RunState, RunType, SourceKind, TaskInstance, TaskSpec, TaskState, TaskTry, Term, TiId, Timestamp, Trigger,
    UNMAPPED, WriteSet, XCom,
};
use uuid::Uuid;

use crate::{Store, StoreError};

/// An instant with microseconds, `seconds` after a fixed one.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond((1_790_000_000 + seconds) * 1_000_000 + 123_456).unwrap()
}

/// A DAG with the given tasks and nothing else.
pub fn spec(dag_id: &str, tasks: &[&str]) -> DagSpec {
    let source = DagSource { kind: SourceKind::Yaml, rel_path: format!("{dag_id}.yaml") };
    let tasks = tasks.iter().map(|task| TaskSpec::new(*task, Operator::Empty)).collect();
    DagSpec { tasks, ..DagSpec::new(dag_id, source) }
}

/// A version of `spec` with the given hash.
pub fn version(spec: DagSpec, hash: &str, number: u32) -> Arc<DagVersion> {
    Arc::new(DagVersion { hash: hash.into(), number, bundle: None, created_at: at(0), spec })
}

/// The row of the DAG whose current version is `version`.
pub fn dag(version: &DagVersion) -> DagRow {
    DagRow {
        dag_id: version.spec.dag_id.clone(),
        version: version.hash.clone(),
        version_number: version.number,
        is_paused: false,
        is_stale: false,
        source: version.spec.source.clone(),
        parsed_at: at(1),
        failed_runs: 0,
        pending_assets: Vec::new(),
        runtimes: Vec::new(),
        schedule_error: None,
        last_scheduled: None,
    }
}

/// A queued manual run without logical date.
pub fn run(no: u64, version: &DagVersion) -> DagRun {
    DagRun {
        run_no: RunNo(no),
        dag_id: version.spec.dag_id.clone(),
        run_id: format!("run-{no}").as_str().into(),
        run_type: RunType::Manual,
        state: RunState::Queued,
        version: version.hash.clone(),
        logical_date: None,
        data_interval_start: None,
        data_interval_end: None,
        run_after: at(i64::try_from(no).unwrap()),
        conf: serde_json::json!({}),
        queued_at: at(2),
        start_date: None,
        end_date: None,
        clear_number: 0,
        triggered_by: None,
        note: None,
        backfill: None,
        missed_deadlines: 0,
    }
}

/// An instance of a task that nothing happened to yet.
pub fn task_instance(run: &DagRun, task: &str) -> TaskInstance {
    TaskInstance {
        id: TiId::derive(run.run_no, &task.into(), UNMAPPED),
        run_no: run.run_no,
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: task.into(),
        map_index: UNMAPPED,
        operator: "EmptyOperator".to_owned(),
        pool: "default_pool".into(),
        pool_slots: 1,
        queue: "default".into(),
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
        deferral: None,
        reschedules: 0,
        rendered_map_index: None,
        xcom_length: None,
    }
}

/// A run with something in every field.
pub fn full_run(no: u64, version: &DagVersion) -> DagRun {
    DagRun {
        run_id: "scheduled__2026-01-01T00:00:00+00:00".into(),
        run_type: RunType::Scheduled,
        state: RunState::Failed,
        logical_date: Some(at(10)),
        data_interval_start: Some(at(11)),
        data_interval_end: Some(at(12)),
        run_after: at(13),
        conf: serde_json::json!({"k": [1, 2.5, null, "Zürich ✓"], "n": {"a": true}}),
        queued_at: at(14),
        start_date: Some(at(15)),
        end_date: Some(at(16)),
        clear_number: 3,
        triggered_by: Some("cli:ärger".to_owned()),
        missed_deadlines: 1 << 31,
        note: Some("timed out".to_owned()),
        ..run(no, version)
    }
}

/// A task instance with something in every field.
pub fn full_task_instance(run: &DagRun, task: &str) -> TaskInstance {
    let map_index = 7;
    TaskInstance {
        id: TiId::derive(run.run_no, &task.into(), map_index),
        map_index,
        operator: "PythonOperator".to_owned(),
        pool: "gpu".into(),
        pool_slots: 3,
        queue: "ml".into(),
        priority_weight: -i64::from(u32::MAX),
        state: TaskState::UpForReschedule,
        try_number: 2,
        max_tries: 5,
        attempt: 9,
        worker_losses: 1,
        scheduled_at: Some(at(20)),
        queued_at: Some(at(21)),
        start_date: Some(at(22)),
        end_date: Some(at(23)),
        next_at: Some(at(24)),
        first_poke_at: Some(at(25)),
        worker: Some("wörker-1".into()),
        token: Some(LeaseToken(Uuid::from_u128(0xfeed))),
        note: Some("poked".to_owned()),
        skips: vec![("a.b".into(), UNMAPPED), ("c".into(), 4)],
        deferral: Some(Box::new(deferral())),
        reschedules: 4,
        rendered_map_index: Some("Zürich".to_owned()),
        xcom_length: Some(0),
        ..task_instance(run, task)
    }
}

/// A wait with something in every field.
pub fn deferral() -> Deferral {
    Deferral {
        trigger: Trigger::Hosted {
            class: "airflow.triggers.file.FileTrigger".to_owned(),
            kwargs: json!({"path": "/ü", "poke": 0.1, "n": u64::MAX}),
        },
        timeout_at: Some(at(26)),
        next_method: "execute_complete".to_owned(),
        next_kwargs: json!({"nul": "\0", "none": null}),
        resume: Some(Resume::Failed { error: "Trigger timeout".to_owned(), traceback: vec!["line".to_owned()] }),
    }
}

/// A past attempt with something in every field.
pub fn past_try(ti: &TaskInstance, attempt: u32) -> TaskTry {
    TaskTry {
        ti: ti.id,
        run_no: ti.run_no,
        attempt,
        try_number: attempt,
        state: TaskState::Failed,
        queued_at: Some(at(30)),
        start_date: Some(at(31)),
        end_date: Some(at(32)),
        worker: Some("w".into()),
        note: Some("exit code 1".to_owned()),
    }
}

/// An XCom of a task instance.
pub fn xcom(ti: &TaskInstance, key: &str, value: serde_json::Value) -> XCom {
    XCom {
        ti: ti.id,
        run_no: ti.run_no,
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        key: key.to_owned(),
        value,
        object: None,
        created_at: at(40),
    }
}

/// An asset and its key.
pub fn asset(name: &str) -> Asset {
    let key = AssetKey { name: name.to_owned(), uri: format!("s3://{name}") };
    Asset { key, group: "asset".to_owned(), extra: json!({}) }
}

/// An event of `asset(name)` that a person made.
pub fn asset_event(no: u64, name: &str) -> AssetEvent {
    let seconds = i64::try_from(no).unwrap();
    AssetEvent { no, asset: asset(name).key, at: at(seconds), extra: json!({}), source: None, aliases: Vec::new() }
}

/// What updated an asset.
pub fn asset_source(ti: &TaskInstance) -> AssetSource {
    AssetSource {
        dag_id: ti.dag_id.clone(),
        run_no: ti.run_no,
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
    }
}

/// A backfill with nothing done yet.
pub fn backfill(no: u64, dag_id: &str) -> Backfill {
    Backfill {
        no,
        dag_id: dag_id.into(),
        from: at(-100),
        to: at(100),
        max_active_runs: 10,
        reprocess: Reprocess::None,
        backwards: false,
        conf: json!({}),
        is_paused: false,
        created_at: at(60),
        completed_at: None,
        by: String::new(),
    }
}

/// A queued callback of a run's DAG.
pub fn callback(run: &DagRun, name: &str) -> Callback {
    Callback {
        id: TiId::derive(run.run_no, &format!("callback {name}").as_str().into(), UNMAPPED),
        run_no: run.run_no,
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        kind: CallbackKind::DagSuccess,
        task: None,
        reason: None,
        spec: Value::Null,
        queue: "default".into(),
        state: CallbackState::Queued,
        attempt: 1,
        worker: None,
        token: None,
        created_at: at(70),
        start_date: None,
        end_date: None,
        note: None,
    }
}

/// A callback with something in every field.
pub fn full_callback(run: &DagRun, name: &str) -> Callback {
    Callback {
        kind: CallbackKind::Deadline,
        task: Some(("g.ü".into(), 3, 2)),
        reason: Some("timed_out".to_owned()),
        spec: json!({"path": "alerts.tell", "kwargs": {"nul": "\0", "f": 0.1}}),
        queue: "ml".into(),
        state: CallbackState::Failed,
        attempt: 3,
        worker: Some("wörker".into()),
        token: Some(LeaseToken(Uuid::from_u128(0xcafe))),
        start_date: Some(at(71)),
        end_date: Some(at(72)),
        note: Some("raised".to_owned()),
        ..callback(run, name)
    }
}

/// An open question of a task instance.
pub fn human_input(ti: &TaskInstance) -> HumanInput {
    HumanInput {
        ti: ti.id,
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        subject: "Go on?".to_owned(),
        body: None,
        options: Vec::new(),
        defaults: None,
        multiple: false,
        params: Value::Null,
        assignees: Vec::new(),
        created_at: at(80),
        responded_at: None,
        responded_by: None,
        chosen_options: None,
        params_input: Value::Null,
    }
}

/// An answered question with something in every field.
pub fn full_human_input(ti: &TaskInstance) -> HumanInput {
    HumanInput {
        body: Some("**why** it's \\ ü".to_owned()),
        options: vec!["Approve".to_owned(), "Réject \0".to_owned(), String::new()],
        defaults: Some(Vec::new()),
        multiple: true,
        params: json!({"n": {"value": 1.5, "schema": {"type": "number"}}}),
        assignees: vec![json!({"id": "1", "name": "Ü"})],
        responded_at: Some(at(81)),
        responded_by: Some("ü".to_owned()),
        chosen_options: Some(vec!["Approve".to_owned()]),
        params_input: json!({"n": u64::MAX}),
        ..human_input(ti)
    }
}

/// A set that makes one DAG with the given tasks and its version, `v1`.
pub fn dag_set(dag_id: &str, tasks: &[&str]) -> (WriteSet, Arc<DagVersion>) {
    let version = version(spec(dag_id, tasks), "v1", 1);
    let mut rows = WriteSet::default();
    rows.versions.push(version.clone());
    rows.dags.insert(dag_id.into(), dag(&version));
    (rows, version)
}

/// Migrates and takes the lease for long enough that no case outlives it.
pub async fn lead(store: &dyn Store) -> Term {
    store.migrate().await.unwrap();
    store
        .acquire_lease(DEFAULT_SHARD, "leader", Uuid::from_u128(1), "http://leader", Duration::from_secs(600))
        .await
        .unwrap()
        .expect("a fresh store has no leader")
        .term
}

/// The error of a commit under a term of the default shard.
pub async fn refuse(store: &dyn Store, term: Term, rows: &WriteSet) -> StoreError {
    store.commit(DEFAULT_SHARD, term, rows).await.unwrap_err()
}

/// Commits under a term of the default shard.
pub async fn commit(store: &dyn Store, term: Term, rows: &WriteSet) {
    store.commit(DEFAULT_SHARD, term, rows).await.unwrap();
}
