//! What a running task may ask for beside its own attempt.

use serde_json::json;
use tradewind_proto::v1;
use tradewind_types::{AssetKey, AssetRef, AttemptKey, AttemptOutcome, ErrorCode, LeaseToken, XComValue};

use crate::harness::{Hand, Installation, Node, PROCESSOR, WORKER, dag, publish, run_state, trigger};

struct Task {
    node: Node,
    hand: Hand,
    run: v1::DagRun,
    key: AttemptKey,
    token: LeaseToken,
    _installation: Installation,
}

impl Task {
    /// A running first task of the DAG `pair`, which has the asset `orders` among its outlets.
    async fn running() -> Self {
        let installation = Installation::new().await;
        let node = installation.scheduler("a").await;
        node.leads().await;
        let mut spec = dag("pair", &[("first", &[]), ("second", &["first"])]);
        spec.tasks[0].outlets =
            vec![AssetRef::Asset(AssetKey { name: "orders".to_owned(), uri: "s3://orders".to_owned() })];
        publish(&node.client(PROCESSOR), &spec).await;
        publish(&node.client(PROCESSOR), &dag("other", &[("only", &[])])).await;
        let hand = Hand::new(node.client(WORKER), "w");
        hand.register(&["default"]).await.unwrap();
        let run = trigger(&node.client(crate::harness::ADMIN), "pair").await;
        let (_, key, token) = hand.next().await;
        Self { node, hand, run, key, token, _installation: installation }
    }

    fn attempt(&self) -> Option<v1::AttemptRef> {
        Some(v1::AttemptRef::new(self.key, self.token))
    }
}

fn mapped(length: u32) -> XComValue {
    XComValue { key: "return_value".to_owned(), value: json!([1]), object: None, mapped_length: Some(length) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_too_long_to_map_over_is_refused_with_its_option() {
    let task = Task::running().await;
    let push = |length| v1::PushXComsRequest { attempt: task.attempt(), xcoms: vec![(&mapped(length)).into()] };
    let error = worker!(task.node, push_x_coms, push(1_025)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    for part in ["\"first\"", "1025", "1024", "scheduler.max_map_length"] {
        assert!(error.message.contains(part), "{part} is not in {}", error.message);
    }
    let answer = task.hand.report(task.key, task.token, AttemptOutcome::Success, vec![mapped(2_000)], 0).await.unwrap();
    assert_eq!(answer.results[0].error, "invalid");
    assert!(answer.results[0].message.contains("2000"));
    // A forged token is told that it is stale, not which task it is not.
    let forged = LeaseToken(uuid::Uuid::new_v4());
    let answer = task.hand.report(task.key, forged, AttemptOutcome::Success, vec![mapped(2_000)], 0).await.unwrap();
    assert_eq!(answer.results[0].error, "stale_attempt");
    worker!(task.node, push_x_coms, push(1_024)).unwrap();
    task.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_values_belong_to_the_task_and_its_assets() {
    let task = Task::running().await;
    let own = format!("task/pair/{}/first/-1", task.run.run_id);
    for scope in [own.as_str(), "asset/orders"] {
        let put = v1::PutStateValueRequest {
            attempt: task.attempt(),
            scope: scope.to_owned(),
            key: "cursor".to_owned(),
            value_json: r#"{"at":7}"#.to_owned(),
        };
        worker!(task.node, put_state_value, put).unwrap();
        let named = |key: Option<&str>| v1::StateValueRequest {
            attempt: task.attempt(),
            scope: scope.to_owned(),
            key: key.map(ToOwned::to_owned),
        };
        let value = worker!(task.node, get_state_value, named(Some("cursor"))).unwrap();
        assert_eq!(value.value_json.as_deref(), Some(r#"{"at":7}"#));
        worker!(task.node, delete_state_values, named(None)).unwrap();
        assert_eq!(worker!(task.node, get_state_value, named(Some("cursor"))).unwrap().value_json, None);
    }
    for scope in ["asset/customers", "task/pair/x/first/-1", "dag-file/pair.yaml", ""] {
        let request = v1::StateValueRequest {
            attempt: task.attempt(),
            scope: scope.to_owned(),
            key: Some("warnings".to_owned()),
        };
        let error = worker!(task.node, get_state_value, request.clone()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{scope}");
        assert_eq!(worker!(task.node, delete_state_values, request).unwrap_err().code, ErrorCode::Forbidden);
        let put = v1::PutStateValueRequest {
            attempt: task.attempt(),
            scope: scope.to_owned(),
            key: "k".to_owned(),
            value_json: "1".to_owned(),
        };
        assert_eq!(worker!(task.node, put_state_value, put).unwrap_err().code, ErrorCode::Forbidden);
    }
    let large = v1::PutStateValueRequest {
        attempt: task.attempt(),
        scope: own,
        key: "k".to_owned(),
        value_json: format!("\"{}\"", "x".repeat(2_000)),
    };
    assert_eq!(worker!(task.node, put_state_value, large).unwrap_err().code, ErrorCode::TooLarge);
    task.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_found_by_id_date_and_state_together() {
    let task = Task::running().await;
    let ask = |run_id: Option<&str>, states: &[&str]| v1::FindRunsRequest {
        attempt: task.attempt(),
        dag_id: "pair".to_owned(),
        run_id: run_id.map(ToOwned::to_owned),
        states: states.iter().map(ToString::to_string).collect(),
        ..v1::FindRunsRequest::default()
    };
    let run_id = task.run.run_id.as_str();
    for (request, count) in [
        (ask(Some(run_id), &[]), 1),
        (ask(Some(run_id), &["running", "failed"]), 1),
        (ask(Some(run_id), &["success"]), 0),
        (ask(None, &["running"]), 1),
        (ask(None, &["success"]), 0),
        (v1::FindRunsRequest { logical_date: task.run.logical_date, ..ask(None, &["running"]) }, 1),
        (v1::FindRunsRequest { logical_date: task.run.logical_date, ..ask(None, &["success"]) }, 0),
        (v1::FindRunsRequest { logical_date: Some(0), ..ask(Some(run_id), &[]) }, 0),
        (v1::FindRunsRequest { before: task.run.logical_date, ..ask(None, &[]) }, 0),
        (v1::FindRunsRequest { before: task.run.logical_date.map(|at| at + 1), ..ask(None, &[]) }, 1),
    ] {
        let found = worker!(task.node, find_runs, request.clone()).unwrap();
        assert_eq!((found.runs.len(), found.total), (count, count as u64), "{request:?}");
    }
    task.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_is_described_with_its_tasks() {
    let task = Task::running().await;
    let ask = |dag_id: &str| v1::DescribeDagRequest { attempt: task.attempt(), dag_id: dag_id.to_owned() };
    let pair = worker!(task.node, describe_dag, ask("pair")).unwrap();
    assert_eq!(pair.tasks_json, r#"{"first":[],"second":["first"]}"#);
    assert_eq!((pair.rel_path.as_str(), pair.is_paused, pair.is_stale), ("pair.yaml", false, false));
    assert_eq!(worker!(task.node, describe_dag, ask("none")).unwrap_err().code, ErrorCode::NotFound);
    task.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triggered_run_can_wait_and_an_existing_one_can_run_again() {
    let task = Task::running().await;
    let later = 1_900_000_000_000_000;
    let request = v1::TriggerDagRunRequest {
        attempt: task.attempt(),
        dag_id: "other".to_owned(),
        run_id: Some("mine".to_owned()),
        run_after: Some(later),
        note: Some("because".to_owned()),
        ..v1::TriggerDagRunRequest::default()
    };
    let run = worker!(task.node, trigger_dag_run, request.clone()).unwrap();
    assert_eq!((run.run_after, run.state.as_str(), run.clear_number), (later, "queued", 0));
    let error = worker!(task.node, trigger_dag_run, request.clone()).unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyExists);
    let again = worker!(task.node, trigger_dag_run, v1::TriggerDagRunRequest { reset: true, ..request }).unwrap();
    assert_eq!((again.run_id.as_str(), again.clear_number), ("mine", 1));
    let audit = admin!(task.node, list_audit, v1::ListRequest::default()).unwrap();
    let note = audit.events.iter().find(|line| line.event == "run.note").unwrap();
    assert_eq!((note.run_id.as_deref(), note.detail.as_deref()), (Some("mine"), Some("because")));
    task.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_to_the_attempt_of_the_token() {
    let task = Task::running().await;
    let line = b"{\"message\":\"hello\"}\n".to_vec();
    let append = v1::AppendLogRequest { attempt: task.attempt(), offset: 0, data: line.clone(), end: false };
    worker!(task.node, append_log, append).unwrap();
    let stored = tradewind_ports::LogStore::read_log(&*task._installation.store, task.key, 0, 1_000).await.unwrap();
    assert_eq!(stored, line);
    let state = run_state(&task.node.client(crate::harness::ADMIN), &task.run).await;
    assert_eq!(state.task_instances.iter().filter(|ti| ti.state == "running").count(), 1);
    task.node.stop().await;
}
