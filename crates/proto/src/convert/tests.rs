//! What crosses the wire comes back as it was.

use serde_json::json;
use tradewind_types as t;
use tradewind_types::Timestamp;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn asset(name: &str) -> t::AssetKey {
    t::AssetKey { name: name.to_owned(), uri: format!("s3://bucket/{name}") }
}

#[test]
fn a_run_keeps_its_backfill() {
    for backfill in [None, Some(t::BackfillRef { no: 3, ordinal: 7 })] {
        let run = t::DagRun {
            run_no: t::RunNo(12),
            dag_id: "d".into(),
            run_id: "backfill__2026".into(),
            run_type: t::RunType::Backfill,
            state: t::RunState::Running,
            version: "v".into(),
            logical_date: Some(at(0)),
            data_interval_start: Some(at(0)),
            data_interval_end: Some(at(60)),
            run_after: at(60),
            conf: json!({"n": 1}),
            queued_at: at(61),
            start_date: Some(at(62)),
            end_date: None,
            clear_number: 2,
            triggered_by: Some("cli".to_owned()),
            note: Some("why".to_owned()),
            backfill,
            missed_deadlines: 0,
        };
        assert_eq!(t::DagRun::try_from(v1::DagRun::from(&run)).unwrap(), run);
    }
}

fn waiting() -> t::TaskInstance {
    t::TaskInstance {
        id: t::TiId(Uuid::from_u128(5)),
        run_no: t::RunNo(1),
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: "t".into(),
        map_index: 4,
        operator: "Sensor".to_owned(),
        pool: "p".into(),
        pool_slots: 2,
        queue: "q".into(),
        priority_weight: -3,
        state: t::TaskState::Deferred,
        try_number: 1,
        max_tries: 2,
        attempt: 3,
        worker_losses: 1,
        scheduled_at: Some(at(1)),
        queued_at: Some(at(2)),
        start_date: Some(at(3)),
        end_date: None,
        next_at: Some(at(9)),
        first_poke_at: Some(at(4)),
        worker: Some("w".into()),
        token: None,
        note: None,
        skips: Vec::new(),
        deferral: Some(Box::new(t::Deferral {
            trigger: t::Trigger::Hosted { class: "m.C".to_owned(), kwargs: json!({"delay": 2.5}) },
            timeout_at: Some(at(99)),
            next_method: "resume".to_owned(),
            next_kwargs: json!({"a": [1]}),
            resume: Some(t::Resume::Failed { error: "Trigger timeout".to_owned(), traceback: vec!["x".to_owned()] }),
        })),
        reschedules: 6,
        rendered_map_index: Some("four".to_owned()),
        xcom_length: Some(0),
    }
}

#[test]
fn a_task_instance_keeps_its_wait_its_label_and_its_length() {
    let ti = waiting();
    assert_eq!(t::TaskInstance::try_from(v1::TaskInstance::from(&ti)).unwrap(), ti);
    let mut broken = v1::TaskInstance::from(&ti);
    broken.deferral_json = Some("{".to_owned());
    assert!(t::TaskInstance::try_from(broken).unwrap_err().message.contains("deferral"));
}

#[test]
fn neither_instances_nor_callbacks_show_their_token() {
    let token = Some(t::LeaseToken(Uuid::from_u128(77)));
    let ti = t::TaskInstance { token, ..waiting() };
    assert_eq!(t::TaskInstance::try_from(v1::TaskInstance::from(&ti)).unwrap().token, None);
    let callback = t::Callback { token, ..callback() };
    assert_eq!(t::Callback::try_from(v1::Callback::from(&callback)).unwrap().token, None);
}

#[test]
fn a_report_keeps_lengths_events_and_label() {
    let outcomes = [
        t::AttemptOutcome::Success,
        t::AttemptOutcome::Deferred {
            trigger: t::Trigger::At { at: at(5), event: json!("soon"), end: Some(t::TaskState::Success) },
            timeout: Some(std::time::Duration::from_secs(3)),
            next_method: "go_on".to_owned(),
            next_kwargs: json!(null),
        },
        t::AttemptOutcome::TriggerFired { event: json!([1, {"k": null}]) },
        t::AttemptOutcome::TriggerEnded { state: t::TaskState::Skipped },
        t::AttemptOutcome::TriggerFailed { error: "raised".to_owned(), traceback: vec!["line".to_owned()] },
        t::AttemptOutcome::Released,
    ];
    for outcome in outcomes {
        let report = t::AttemptReport {
            key: t::AttemptKey { ti: t::TiId(Uuid::from_u128(5)), attempt: 2 },
            token: t::LeaseToken(Uuid::from_u128(6)),
            outcome,
            xcoms: vec![
                t::XComValue {
                    key: "return_value".to_owned(),
                    value: json!([1, 2]),
                    object: None,
                    mapped_length: Some(2),
                },
                t::XComValue { key: "k".to_owned(), value: json!("v"), object: None, mapped_length: None },
            ],
            skip: vec![("s".into(), -1)],
            asset_events: vec![t::OutletEvent {
                asset: asset("orders"),
                extra: json!({"rows": 3}),
                aliases: vec!["any".to_owned()],
            }],
            rendered_map_index: Some("label".to_owned()),
            callbacks_due: true,
            note: Some("n".to_owned()),
            ended_at: at(8),
        };
        assert_eq!(t::AttemptReport::try_from(v1::AttemptReport::from(&report)).unwrap(), report);
    }
}

fn callback() -> t::Callback {
    t::Callback {
        id: t::TiId(Uuid::from_u128(9)),
        run_no: t::RunNo(4),
        dag_id: "d".into(),
        run_id: "r".into(),
        kind: t::CallbackKind::TaskFailure,
        task: Some(("t".into(), 2, 3)),
        reason: Some("task_failure".to_owned()),
        spec: json!({"path": "m.f"}),
        queue: "q".into(),
        state: t::CallbackState::Running,
        attempt: 1,
        worker: Some("w".into()),
        token: None,
        created_at: at(0),
        start_date: Some(at(1)),
        end_date: None,
        note: None,
    }
}

#[test]
fn callbacks_cross_with_and_without_a_task() {
    for task in [None, Some(("t".into(), -1, 1))] {
        let callback = t::Callback { task, ..callback() };
        assert_eq!(t::Callback::try_from(v1::Callback::from(&callback)).unwrap(), callback);
    }
    let unknown = v1::Callback { kind: "party".to_owned(), ..v1::Callback::from(&callback()) };
    assert!(t::Callback::try_from(unknown).unwrap_err().message.contains("party"));
}

#[test]
fn assets_and_their_events_cross() {
    let row = t::Asset { key: asset("orders"), group: "sales".to_owned(), extra: json!({"owner": "x"}) };
    assert_eq!(t::Asset::try_from(v1::Asset::from(&row)).unwrap(), row);
    let source = t::AssetSource {
        dag_id: "d".into(),
        run_no: t::RunNo(4),
        run_id: "r".into(),
        task_id: "t".into(),
        map_index: 1,
    };
    for source in [None, Some(source)] {
        let event = t::AssetEvent {
            no: 8,
            asset: asset("orders"),
            at: at(3),
            extra: json!({}),
            source,
            aliases: vec!["a".to_owned()],
        };
        assert_eq!(t::AssetEvent::try_from(v1::AssetEvent::from(&event)).unwrap(), event);
    }
    let half = v1::AssetEvent { source_dag_id: Some("d".to_owned()), ..v1::AssetEvent::default() };
    assert!(t::AssetEvent::try_from(half).is_err());
}

#[test]
fn backfills_cross_and_name_the_reprocess_behaviours() {
    let backfill = t::Backfill {
        no: 2,
        dag_id: "d".into(),
        from: at(0),
        to: at(100),
        max_active_runs: 5,
        reprocess: t::Reprocess::Failed,
        backwards: true,
        conf: json!({"x": 1}),
        is_paused: true,
        created_at: at(200),
        completed_at: Some(at(300)),
        by: "me".to_owned(),
    };
    assert_eq!(t::Backfill::try_from(v1::Backfill::from(&backfill)).unwrap(), backfill);
    let bad = v1::Backfill { reprocess: "all".to_owned(), ..v1::Backfill::from(&backfill) };
    assert!(t::Backfill::try_from(bad).unwrap_err().message.contains("completed"));
}

#[test]
fn a_question_to_a_person_crosses() {
    let input = t::HumanInput {
        ti: t::TiId(Uuid::from_u128(5)),
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: "t".into(),
        map_index: -1,
        subject: "Go?".to_owned(),
        body: None,
        options: vec!["Yes".to_owned(), "No".to_owned()],
        defaults: Some(vec!["No".to_owned()]),
        multiple: false,
        params: json!({"n": 1}),
        assignees: vec![json!({"id": "1", "name": "ann"})],
        created_at: at(0),
        responded_at: Some(at(1)),
        responded_by: Some("ann".to_owned()),
        chosen_options: Some(vec!["Yes".to_owned()]),
        params_input: json!({"n": 2}),
    };
    assert_eq!(t::HumanInput::try_from(v1::HumanInput::from(&input)).unwrap(), input);
}

#[test]
fn a_pool_has_a_whole_rate_or_none() {
    for rate in [None, Some(t::RateLimit { starts: 10, per_secs: 60 })] {
        let pool = t::Pool { name: "p".into(), slots: -1, description: "d".to_owned(), include_deferred: true, rate };
        assert_eq!(t::Pool::try_from(v1::Pool::from(&pool)).unwrap(), pool);
    }
    for (starts, per_secs) in [(Some(0), Some(60)), (Some(1), None), (None, Some(1)), (Some(1), Some(0))] {
        let pool = v1::Pool { rate_starts: starts, rate_per_secs: per_secs, ..v1::Pool::default() };
        assert!(t::Pool::try_from(pool).is_err(), "{starts:?} {per_secs:?}");
    }
}
