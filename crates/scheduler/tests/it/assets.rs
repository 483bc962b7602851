//! Assets: events of tasks and people, the runs that they set off, and who may look at them.

use serde_json::json;
use tradewind_proto::v1;
use tradewind_types::{
    Asset, AssetCondition, AssetKey, AssetRef, AttemptOutcome, AttemptReport, DagSpec, ErrorCode, OutletEvent,
    Timetable,
};

use crate::harness::{Hand, Installation, Node, PROCESSOR, WORKER, dag, ended, publish, trigger};

fn orders() -> AssetKey {
    AssetKey { name: "orders".to_owned(), uri: "s3://orders".to_owned() }
}

fn naming(mut spec: DagSpec) -> DagSpec {
    spec.assets = vec![Asset { key: orders(), group: "sales".to_owned(), extra: json!({"owner": "ann"}) }];
    spec
}

fn producer(dag_id: &str) -> DagSpec {
    let mut spec = naming(dag(dag_id, &[("make", &[])]));
    spec.tasks[0].outlets = vec![AssetRef::Asset(orders())];
    spec
}

fn consumer() -> DagSpec {
    let mut spec = naming(dag("consumer", &[("use", &[])]));
    spec.timetable = Timetable::Assets { condition: AssetCondition::One { asset: AssetRef::Asset(orders()) } };
    spec
}

async fn started(installation: &Installation) -> (Node, Hand) {
    let node = installation.scheduler("a").await;
    node.leads().await;
    for spec in [producer("producer"), consumer()] {
        let answer = publish(&node.client(PROCESSOR), &spec).await;
        assert!(answer.refused.is_empty(), "{answer:?}");
    }
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    (node, hand)
}

fn named(name: &str) -> v1::ListAssetEventsRequest {
    v1::ListAssetEventsRequest { name: Some(name.to_owned()), ..v1::ListAssetEventsRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_runs_the_consumer_with_what_it_consumed() {
    let installation = Installation::new().await;
    let (node, hand) = started(&installation).await;
    let made = trigger(&node.client(crate::harness::ADMIN), "producer").await;
    let (_, key, token) = hand.next().await;
    let events = vec![OutletEvent { asset: orders(), extra: json!({"rows": 3}), aliases: vec!["any".to_owned()] }];
    let report = AttemptReport { asset_events: events, ..ended(key, token, AttemptOutcome::Success) };
    hand.hand_in(&report, 0).await.unwrap();

    let (grant, key, token) = hand.next().await;
    let run = grant.run.unwrap();
    assert_eq!((run.dag_id.as_str(), run.run_type.as_str()), ("consumer", "asset_triggered"));
    let [event] = grant.consumed_events.as_slice() else { panic!("{:?}", grant.consumed_events) };
    assert_eq!((event.name.as_str(), event.extra_json.as_str()), ("orders", r#"{"rows":3}"#));
    assert_eq!(event.source_run_id.as_deref(), Some(made.run_id.as_str()));

    // People see the same.
    let listed = admin!(node, list_asset_events, named("orders")).unwrap();
    assert_eq!((listed.total, listed.events[0].no), (1, event.no));
    let consumed = v1::ListAssetEventsRequest {
        consumed_by_dag_id: Some("consumer".to_owned()),
        consumed_by_run_id: Some(run.run_id.clone()),
        ..v1::ListAssetEventsRequest::default()
    };
    assert_eq!(admin!(node, list_asset_events, consumed.clone()).unwrap().events, listed.events);
    let other = v1::ListAssetEventsRequest { name: Some("customers".to_owned()), ..consumed.clone() };
    assert_eq!(admin!(node, list_asset_events, other).unwrap().total, 0);
    let half = v1::ListAssetEventsRequest { consumed_by_dag_id: None, ..consumed };
    assert_eq!(admin!(node, list_asset_events, half).unwrap_err().code, ErrorCode::Invalid);

    // And so does the task.
    let attempt = Some(v1::AttemptRef::new(key, token));
    let find = |name: Option<&str>, uri: Option<&str>, alias: Option<&str>| v1::FindAssetsRequest {
        attempt: attempt.clone(),
        name: name.map(ToOwned::to_owned),
        uri: uri.map(ToOwned::to_owned),
        alias: alias.map(ToOwned::to_owned),
    };
    for request in
        [find(Some("orders"), None, None), find(None, Some("s3://orders"), None), find(None, None, Some("any"))]
    {
        let found = worker!(node, find_assets, request).unwrap().assets;
        assert_eq!((found.len(), found[0].group.as_str()), (1, "sales"));
    }
    assert!(worker!(node, find_assets, find(Some("order"), None, None)).unwrap().assets.is_empty(), "whole names");
    assert_eq!(worker!(node, find_assets, find(None, None, None)).unwrap_err().code, ErrorCode::Invalid);
    let events = |after: Option<i64>, before: Option<i64>| v1::FindAssetEventsRequest {
        attempt: attempt.clone(),
        name: Some("orders".to_owned()),
        after,
        before,
        limit: 1,
        ..v1::FindAssetEventsRequest::default()
    };
    for (request, count) in [
        (events(None, None), 1),
        (events(Some(event.at), None), 1),
        (events(Some(event.at + 1), None), 0),
        (events(None, Some(event.at)), 0),
        (v1::FindAssetEventsRequest { limit: 0, ..events(None, None) }, 1),
    ] {
        assert_eq!(worker!(node, find_asset_events, request.clone()).unwrap().events.len(), count, "{request:?}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_updates_an_asset() {
    let installation = Installation::new().await;
    let (node, hand) = started(&installation).await;
    let assets = admin!(node, list_assets, v1::ListAssetsRequest::default()).unwrap();
    assert_eq!((assets.total, assets.assets[0].extra_json.as_str()), (1, r#"{"owner":"ann"}"#));
    let update = |name: &str, extra: &str| v1::UpdateAssetRequest {
        name: Some(name.to_owned()),
        uri: None,
        extra_json: extra.to_owned(),
    };
    let error = admin!(node, update_asset, update("customers", "")).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.contains("customers"));
    assert_eq!(admin!(node, update_asset, update("orders", "[1]")).unwrap_err().code, ErrorCode::Invalid);
    let event = admin!(node, update_asset, update("orders", r#"{"by":"hand"}"#)).unwrap();
    assert_eq!((event.source_dag_id.as_deref(), event.extra_json.as_str()), (None, r#"{"by":"hand"}"#));
    let (grant, ..) = hand.next().await;
    assert_eq!(grant.run.unwrap().dag_id, "consumer");
    assert_eq!(grant.consumed_events, [event]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn materializing_runs_the_one_dag_that_makes_the_asset() {
    let installation = Installation::new().await;
    let (node, _) = started(&installation).await;
    let request =
        |name: &str| v1::MaterializeAssetRequest { name: Some(name.to_owned()), uri: None, conf_json: String::new() };
    let run = admin!(node, materialize_asset, request("orders")).unwrap();
    assert_eq!(
        (run.dag_id.as_str(), run.run_type.as_str(), run.logical_date),
        ("producer", "asset_materialization", None)
    );
    assert_eq!(admin!(node, materialize_asset, request("none")).unwrap_err().code, ErrorCode::NotFound);
    publish(&node.client(PROCESSOR), &producer("another")).await;
    let error = admin!(node, materialize_asset, request("orders")).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.message.contains("another, producer"), "{}", error.message);
    node.stop().await;
}
