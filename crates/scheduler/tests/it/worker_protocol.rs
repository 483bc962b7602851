//! Claims, leases and reports: each attempt is granted once, and a stale worker changes nothing.

use std::time::Duration;

use tradewind_proto::{v1, worker_client};
use tradewind_types::{AttemptOutcome, ErrorCode, LeaseToken, XComObject, XComValue};
use uuid::Uuid;

use crate::harness::{
    ADMIN, Hand, Installation, Node, PROCESSOR, WORKER, dag, eventually, publish, run_state, trigger,
};

async fn started(installation: &Installation) -> (Node, Hand, v1::DagRun) {
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &dag("pair", &[("first", &[]), ("second", &["first"])])).await;
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    let run = trigger(&node.client(ADMIN), "pair").await;
    (node, hand, run)
}

fn xcom(key: &str, value: serde_json::Value) -> XComValue {
    XComValue { key: key.to_owned(), value, object: None, mapped_length: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_report_by_report() {
    let installation = Installation::new().await;
    let (node, hand, run) = started(&installation).await;
    let (grant, key, token) = hand.next().await;
    assert_eq!(grant.ti.as_ref().unwrap().task_id, "first");

    let xcoms = vec![xcom("return_value", serde_json::json!({"rows": 3}))];
    let answer = hand.report(key, token, AttemptOutcome::Success, xcoms, 1).await.unwrap();
    assert_eq!(answer.results[0].error, "");
    // The report freed a slot and offered it: the next task comes in the same answer.
    let Some(v1::claim_answer::Answer::Granted(next)) = &answer.answers[0].answer else {
        panic!("the second task was not granted with the report: {answer:?}")
    };
    assert_eq!(next.ti.as_ref().unwrap().task_id, "second");
    let second = tradewind_types::AttemptKey {
        ti: tradewind_types::TiId(next.ti.as_ref().unwrap().id.parse().unwrap()),
        attempt: 1,
    };
    let token = LeaseToken(next.token.parse().unwrap());
    hand.report(second, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();

    let admin = node.client(ADMIN);
    let end = run_state(&admin, &run).await;
    assert_eq!(end.run.unwrap().state, "success");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_granted_once_and_the_same_token_repeats_the_answer() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    let again = hand.claim(Some(key), token.0).await.unwrap();
    assert_eq!(again.expect("the same token repeats the grant").token, token.0.to_string());
    assert!(hand.claim(Some(key), Uuid::new_v4()).await.unwrap().is_none(), "another token gets nothing");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_token_or_attempt_is_refused_everywhere() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    let forged = LeaseToken(Uuid::new_v4());

    let answer = hand.report(key, forged, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "stale_attempt");
    let attempt = Some(v1::AttemptRef::new(key, forged));
    let push = v1::PushXComsRequest { attempt: attempt.clone(), xcoms: Vec::new() };
    let error = hand
        .client
        .once(|channel| {
            let push = push.clone();
            async move { worker_client(channel).push_x_coms(push).await }
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::StaleAttempt);
    let log = v1::AppendLogRequest { attempt, offset: 0, data: b"{}\n".to_vec(), end: false };
    let error = hand
        .client
        .once(|channel| {
            let log = log.clone();
            async move { worker_client(channel).append_log(log).await }
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::StaleAttempt);
    let old = tradewind_types::AttemptKey { attempt: key.attempt + 1, ..key };
    let answer = hand.report(old, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "stale_attempt");
    // The heartbeat names what must be stopped.
    assert_eq!(hand.heartbeat(&[(key, forged)]).await.cancel, vec![forged.0.to_string()]);
    assert!(hand.heartbeat(&[(key, token)]).await.cancel.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_twice_is_answered_the_same() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    for _ in 0..2 {
        let answer = hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
        assert_eq!(answer.results[0].error, "");
    }
    let (grant, ..) = hand.next().await;
    assert_eq!(grant.ti.unwrap().task_id, "second", "the second report did not run anything again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_not_renewed_ends_the_attempt() {
    let mut installation = Installation::new().await;
    installation.lease = Duration::from_millis(600);
    let (node, hand, run) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    let admin = node.client(ADMIN);
    let row = eventually("the loss", || async {
        let state = run_state(&admin, &run).await;
        state.task_instances.into_iter().find(|ti| ti.task_id == "first" && ti.state == "failed")
    })
    .await;
    assert!(row.note.unwrap_or_default().contains('w'), "the note names the lost worker");
    let answer = hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "stale_attempt", "the late result changes nothing");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incarnation_ends_what_the_former_one_ran() {
    let installation = Installation::new().await;
    let (node, hand, run) = started(&installation).await;
    hand.next().await;
    let reborn = Hand::new(node.client(WORKER), "w");
    reborn.register(&["default"]).await.unwrap();
    let state = run_state(&node.client(ADMIN), &run).await;
    let first = state.task_instances.iter().find(|ti| ti.task_id == "first").unwrap();
    assert_eq!(first.state, "failed", "its lease of 15 s was not waited for");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_only_gets_tasks_of_its_queues() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let other = Hand::new(node.client(WORKER), "other");
    other.register(&["ml"]).await.unwrap();
    assert!(other.claim(None, Uuid::new_v4()).await.unwrap().is_none());
    let (_, key, _) = hand.next().await;
    assert!(other.claim(Some(key), Uuid::new_v4()).await.unwrap().is_none());
    let stranger = Hand::new(node.client(WORKER), "stranger");
    assert_eq!(stranger.claim(None, Uuid::new_v4()).await.unwrap_err().code, ErrorCode::NotFound);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_storage_that_is_not_ours_is_refused() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    let object = XComObject { url: "file:///etc/passwd".to_owned(), size: 10, sha256: String::new() };
    let value = XComValue { object: Some(object), ..xcom("k", serde_json::Value::Null) };
    let answer = hand.report(key, token, AttemptOutcome::Success, vec![value], 0).await.unwrap();
    assert_eq!(answer.results[0].error, "invalid");
    assert!(answer.results[0].message.contains("xcom.storage_url is not set"), "{answer:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_xcoms_and_logs_are_refused_with_their_option() {
    let installation = Installation::new().await;
    let (node, hand, _) = started(&installation).await;
    let (_, key, token) = hand.next().await;
    let large = vec![xcom("k", serde_json::json!("x".repeat(2_000)))];
    let answer = hand.report(key, token, AttemptOutcome::Success, large, 0).await.unwrap();
    assert_eq!(answer.results[0].error, "too_large");
    assert!(answer.results[0].message.contains("xcom.inline_max_bytes"));
    let log = v1::AppendLogRequest {
        attempt: Some(v1::AttemptRef::new(key, token)),
        offset: 9_000,
        data: vec![b'\n'; 2_000],
        end: false,
    };
    let error = hand
        .client
        .once(|channel| {
            let log = log.clone();
            async move { worker_client(channel).append_log(log).await }
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    assert!(error.message.contains("scheduler.log_max_bytes"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_takes_its_own_token_only() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    for (token, may_register, may_list) in
        [(ADMIN, false, true), (WORKER, true, false), (PROCESSOR, false, false), ("", false, false)]
    {
        let client = node.client(token);
        let registered = Hand::new(client.clone(), "w").register(&["default"]).await;
        assert_eq!(registered.is_ok(), may_register, "{token}");
        let listed = client
            .once(|channel| async move {
                tradewind_proto::admin_client(channel).list_dags(v1::ListDagsRequest::default()).await
            })
            .await;
        assert_eq!(listed.is_ok(), may_list, "{token}");
        if let Err(error) = listed {
            assert_eq!(error.code, ErrorCode::Unauthenticated);
        }
    }
    node.stop().await;
}
