//! Rows for trying out the statements of a commit.

use std::sync::Arc;

use tradewind_types::{
    Asset, AssetEvent, AssetKey, AuditEvent, Backfill, BackfillItem, Callback, CallbackKind, CallbackState, DagRow,
    DagRun, DagSource, DagSpec, DagVersion, HumanInput, Pool, PoolName, Reprocess, RunNo, RunState, RunType,
    SourceKind, TaskInstance, TaskState, TaskTry, TiId, Timestamp, UNMAPPED, WriteSet, XCom,
};

/// Sets that need each part of a commit alone, and one that needs all of them.
pub(crate) fn samples() -> Vec<WriteSet> {
    let at = Timestamp::UNIX_EPOCH;
    let source = DagSource { kind: SourceKind::Yaml, rel_path: String::new() };
    let spec = DagSpec {
        environment: Some(tradewind_types::Environment {
            name: "forecast".to_owned(),
            hash: "e".repeat(64),
            declared_in: "tradewind.toml".to_owned(),
            packages: tradewind_types::PackageSource::Requirements { file: "requirements.txt".to_owned() },
            python: Some("3.12".to_owned()),
            files: vec!["requirements.txt".to_owned()],
        }),
        ..DagSpec::new("", source.clone())
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
        backfill: None,
        missed_deadlines: 0,
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
        deferral: None,
        reschedules: 0,
        rendered_map_index: None,
        xcom_length: None,
    };
    let mut parts = vec![WriteSet::default(); 18];
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
            pending_assets: Vec::new(),
            runtimes: Vec::new(),
            schedule_error: None,
            last_scheduled: None,
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
        object: None,
        created_at: at,
    });
    parts[9].pools.insert(
        "p".into(),
        Some(Pool { name: "p".into(), slots: 1, description: String::new(), include_deferred: false, rate: None }),
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
    let asset = AssetKey { name: String::new(), uri: String::new() };
    parts[11]
        .assets
        .insert(asset.clone(), Asset { key: asset.clone(), group: String::new(), extra: serde_json::Value::Null });
    parts[12].asset_aliases.push((String::new(), asset.clone()));
    parts[13].asset_events.push(AssetEvent {
        no: 1,
        asset,
        at,
        extra: serde_json::Value::Null,
        source: None,
        aliases: vec![String::new()],
    });
    parts[13].consumed_events.push((RunNo(1), 1));
    parts[14].callbacks.insert(id, callback(id));
    parts[15].backfills.insert(
        1,
        Backfill {
            no: 1,
            dag_id: "".into(),
            from: at,
            to: at,
            max_active_runs: 1,
            reprocess: Reprocess::None,
            backwards: false,
            conf: serde_json::Value::Null,
            is_paused: false,
            created_at: at,
            completed_at: None,
            by: String::new(),
        },
    );
    let item = BackfillItem { backfill: 1, ordinal: 1, logical_date: at, run_no: None, skipped: None };
    parts[16].backfill_items.push(item);
    parts[17].human_inputs.insert(id, human_input(id));
    let mut all = WriteSet::default();
    for part in &parts {
        all.merge(part.clone());
    }
    parts.push(all);
    parts
}

fn callback(id: TiId) -> Callback {
    Callback {
        id,
        run_no: RunNo(1),
        dag_id: "".into(),
        run_id: "".into(),
        kind: CallbackKind::DagSuccess,
        task: None,
        reason: None,
        spec: serde_json::Value::Null,
        queue: "".into(),
        state: CallbackState::Queued,
        attempt: 1,
        worker: None,
        token: None,
        created_at: Timestamp::UNIX_EPOCH,
        start_date: None,
        end_date: None,
        note: None,
    }
}

fn human_input(ti: TiId) -> HumanInput {
    HumanInput {
        ti,
        dag_id: "".into(),
        run_id: "".into(),
        task_id: "".into(),
        map_index: UNMAPPED,
        subject: String::new(),
        body: None,
        options: Vec::new(),
        defaults: None,
        multiple: false,
        params: serde_json::Value::Null,
        assignees: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        responded_at: None,
        responded_by: None,
        chosen_options: None,
        params_input: serde_json::Value::Null,
    }
}
