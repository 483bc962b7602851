//! Backfills: what they would make, make, leave alone and run again.

use std::time::Duration;

use serde_json::json;
use tradewind_proto::v1;
use tradewind_types::{AttemptOutcome, DagSpec, ErrorCode, Param, Timetable};

use crate::harness::{ADMIN, Hand, Installation, Node, PROCESSOR, WORKER, dag, publish, run_state};

/// 2026-01-01T00:00:00Z and the days after.
fn day(n: i64) -> i64 {
    1_767_225_600_000_000 + n * 86_400_000_000
}

/// A daily DAG whose schedule is over, so that only backfills make runs.
fn daily(dag_id: &str) -> DagSpec {
    let mut spec = dag(dag_id, &[("only", &[])]);
    spec.timetable = Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() };
    spec.end_date = Some("2026-01-10T00:00:00Z".parse().unwrap());
    let schema = json!({"type": "integer", "maximum": 3});
    spec.params.insert("n".to_owned(), Param { value: json!(1), description: None, schema });
    spec
}

fn range(from: i64, to: i64) -> v1::CreateBackfillRequest {
    v1::CreateBackfillRequest {
        dag_id: "daily".to_owned(),
        from: day(from),
        to: day(to),
        ..v1::CreateBackfillRequest::default()
    }
}

async fn started(installation: &Installation) -> (Node, Hand) {
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &daily("daily")).await;
    publish(&node.client(PROCESSOR), &dag("manual", &[("only", &[])])).await;
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    (node, hand)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_nothing_and_a_backfill_shows_its_runs() {
    let installation = Installation::new().await;
    let (node, _) = started(&installation).await;
    let dry = v1::CreateBackfillRequest { dry_run: true, ..range(0, 2) };
    let planned = admin!(node, create_backfill, dry).unwrap();
    let dates: Vec<i64> = planned.items.iter().map(|item| item.logical_date).collect();
    assert_eq!(dates, [day(0), day(1), day(2)]);
    let none = admin!(node, list_backfills, v1::ListBackfillsRequest::default()).unwrap();
    assert_eq!(none.total, 0);

    let request = v1::CreateBackfillRequest {
        max_active_runs: 1,
        backwards: true,
        conf_json: r#"{"n":2}"#.to_owned(),
        ..range(0, 2)
    };
    let made = admin!(node, create_backfill, request).unwrap();
    let backfill = made.backfill.unwrap();
    assert_eq!((backfill.max_active_runs, backfill.backwards, backfill.conf_json.as_str()), (1, true, r#"{"n":2}"#));
    let shown = admin!(node, get_backfill, v1::GetBackfillRequest { no: backfill.no }).unwrap();
    assert_eq!(shown.items.len(), 3);
    assert_eq!(shown.items[0].logical_date, day(2), "backwards");
    for item in &shown.items {
        assert!(item.run_id.as_deref().unwrap().starts_with("backfill__2026-01-"), "{item:?}");
    }
    let states: Vec<&str> = shown.items.iter().map(|item| item.state.as_deref().unwrap()).collect();
    assert_eq!(states, ["running", "queued", "queued"], "one at a time");
    let of = |dag_id: &str| v1::ListBackfillsRequest {
        dag_id: Some(dag_id.to_owned()),
        ..v1::ListBackfillsRequest::default()
    };
    assert_eq!(admin!(node, list_backfills, of("daily")).unwrap().total, 1);
    assert_eq!(admin!(node, list_backfills, of("manual")).unwrap().total, 0);
    let run = shown.items[0].run_id.clone().unwrap();
    let run = v1::DagRun { dag_id: "daily".to_owned(), run_id: run, ..v1::DagRun::default() };
    let run = run_state(&node.client(ADMIN), &run).await.run.unwrap();
    assert_eq!((run.backfill, run.backfill_ordinal, run.run_type.as_str()), (Some(backfill.no), 1, "backfill"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_is_paused_unpaused_and_cancelled() {
    let installation = Installation::new().await;
    let (node, _) = started(&installation).await;
    let made = admin!(node, create_backfill, v1::CreateBackfillRequest { max_active_runs: 1, ..range(0, 2) }).unwrap();
    let no = made.backfill.unwrap().no;
    let set = |action: &str| v1::SetBackfillRequest { no, action: action.to_owned() };
    assert!(admin!(node, set_backfill, set("pause")).unwrap().backfill.unwrap().is_paused);
    assert!(!admin!(node, set_backfill, set("unpause")).unwrap().backfill.unwrap().is_paused);
    admin!(node, set_backfill, set("cancel")).unwrap();
    let shown = admin!(node, get_backfill, v1::GetBackfillRequest { no }).unwrap();
    let failed = shown.items.iter().filter(|item| item.state.as_deref() == Some("failed")).count();
    assert_eq!(failed, 2, "its queued runs fail, what runs goes on");
    let error = admin!(node, set_backfill, set("stop")).unwrap_err();
    assert!(error.message.contains("pause, unpause and cancel"), "{}", error.message);
    let unknown = admin!(node, set_backfill, v1::SetBackfillRequest { no: 99, action: "pause".to_owned() });
    assert_eq!(unknown.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(admin!(node, get_backfill, v1::GetBackfillRequest { no: 99 }).unwrap_err().code, ErrorCode::NotFound);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_backfilled_is_refused_with_the_reason() {
    let installation = Installation::new().await;
    let (node, _) = started(&installation).await;
    for (request, part) in [
        (range(2, 0), "swap them"),
        (v1::CreateBackfillRequest { dag_id: "none".to_owned(), ..range(0, 2) }, "no DAG"),
        (v1::CreateBackfillRequest { dag_id: "manual".to_owned(), ..range(0, 2) }, "periodic"),
        (v1::CreateBackfillRequest { conf_json: r#"{"n":4}"#.to_owned(), ..range(0, 2) }, "maximum"),
        (v1::CreateBackfillRequest { conf_json: "[]".to_owned(), ..range(0, 2) }, "JSON object"),
        (v1::CreateBackfillRequest { reprocess: "all".to_owned(), ..range(0, 2) }, "completed"),
    ] {
        let error = admin!(node, create_backfill, request.clone()).unwrap_err();
        assert!(error.message.contains(part), "{part} is not in: {}", error.message);
    }
    admin!(node, create_backfill, range(0, 2)).unwrap();
    let error = admin!(node, create_backfill, range(1, 3)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict, "two at once: {}", error.message);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_were_over_long_ago_are_seen() {
    let mut installation = Installation::new().await;
    installation.lease = Duration::from_millis(300);
    let (node, hand) = started(&installation).await;
    let request = v1::TriggerRunRequest {
        dag_id: "daily".to_owned(),
        logical_date: Some(day(1)),
        ..v1::TriggerRunRequest::default()
    };
    let run = admin!(node, trigger_run, request).unwrap();
    let (_, key, token) = hand.next().await;
    hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    // The engine remembers finished runs for a few leases only.
    tokio::time::sleep(installation.lease * 6).await;
    let dry =
        |reprocess: &str| v1::CreateBackfillRequest { dry_run: true, reprocess: reprocess.to_owned(), ..range(0, 2) };
    let planned = admin!(node, create_backfill, dry("none")).unwrap();
    let skipped: Vec<Option<&str>> = planned.items.iter().map(|item| item.skipped.as_deref()).collect();
    assert_eq!(skipped, [None, Some("already exists"), None]);
    admin!(node, create_backfill, v1::CreateBackfillRequest { dry_run: false, ..dry("completed") }).unwrap();
    let again = run_state(&node.client(ADMIN), &run).await.run.unwrap();
    assert_eq!((again.clear_number, again.run_type.as_str()), (1, "backfill"));
    node.stop().await;
}
