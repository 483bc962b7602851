//! Params of runs are checked by the schemas of their DAG, wherever a run comes from.

use serde_json::json;
use tradewind_proto::v1;
use tradewind_types::{DagSpec, ErrorCode, Param, Timetable};

use crate::harness::{Hand, Installation, PROCESSOR, WORKER, dag, publish};

fn counting(dag_id: &str, default: serde_json::Value) -> DagSpec {
    let mut spec = dag(dag_id, &[("only", &[])]);
    let schema = json!({"type": "integer", "maximum": 3});
    spec.params.insert("n".to_owned(), Param { value: default, description: None, schema });
    spec
}

fn with_conf(conf: &serde_json::Value) -> v1::TriggerRunRequest {
    v1::TriggerRunRequest {
        dag_id: "counting".to_owned(),
        conf_json: conf.to_string(),
        ..v1::TriggerRunRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conf_that_breaks_a_schema_makes_no_run() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &counting("counting", json!(1))).await;
    let error = admin!(node, trigger_run, with_conf(&json!({"n": 4}))).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    for part in ["\"counting\"", "\"n\"", "4", "maximum"] {
        assert!(error.message.contains(part), "{part} is not in {}", error.message);
    }
    let runs = admin!(node, list_runs, v1::ListRunsRequest::default()).unwrap();
    assert_eq!(runs.total, 0);
    let run = admin!(node, trigger_run, with_conf(&json!({"n": 3, "free": true}))).unwrap();
    assert_eq!(run.conf_json, r#"{"free":true,"n":3}"#);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_triggers_a_dag_keeps_to_its_schemas() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &counting("counting", json!(1))).await;
    publish(&node.client(PROCESSOR), &dag("caller", &[("call", &[])])).await;
    crate::harness::trigger(&node.client(crate::harness::ADMIN), "caller").await;
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    let (_, key, token) = hand.next().await;
    let request = |conf: serde_json::Value| v1::TriggerDagRunRequest {
        attempt: Some(v1::AttemptRef::new(key, token)),
        dag_id: "counting".to_owned(),
        conf_json: conf.to_string(),
        ..v1::TriggerDagRunRequest::default()
    };
    let error = worker!(node, trigger_dag_run, request(json!({"n": "two"}))).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("\"n\"") && error.message.contains("type"), "{}", error.message);
    let run = worker!(node, trigger_dag_run, request(json!({"n": 2}))).unwrap();
    assert_eq!(run.run_type, "operator_triggered");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_needs_params_with_valid_defaults() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let mut scheduled = counting("scheduled", json!(null));
    scheduled.timetable = Timetable::Once;
    let answer = publish(&node.client(PROCESSOR), &scheduled).await;
    assert!(answer.refused[0].message.contains("no valid default"), "{answer:?}");
    let errors = admin!(node, list_import_errors, v1::ListRequest::default()).unwrap();
    assert_eq!((errors.total, errors.errors[0].rel_path.as_str()), (1, "scheduled.yaml"));
    // Without a schedule the param is simply required.
    assert!(publish(&node.client(PROCESSOR), &counting("counting", json!(null))).await.refused.is_empty());
    let error = admin!(node, trigger_run, with_conf(&json!({}))).unwrap_err();
    assert!(error.message.contains("by default"), "{}", error.message);
    node.stop().await;
}
