//! Clearing over runs and over DAGs.

use std::time::Duration;

use tradewind_proto::v1;
use tradewind_types::{AttemptOutcome, DagSpec, ErrorCode, ExternalMarker};

use crate::harness::{Hand, Installation, Node, PROCESSOR, WORKER, dag, eventually, publish, run_state};

/// 2026-01-01T00:00:00Z and the days after.
fn day(n: i64) -> i64 {
    1_767_225_600_000_000 + n * 86_400_000_000
}

/// A DAG `first -> second`, its first task being a marker for a task of another DAG.
fn marking(dag_id: &str, other: &str, task_id: Option<&str>, recursion_depth: u32) -> DagSpec {
    let mut spec = dag(dag_id, &[("first", &[]), ("second", &["first"])]);
    spec.tasks[0].marker =
        Some(ExternalMarker { dag_id: other.into(), task_id: task_id.map(Into::into), recursion_depth });
    spec
}

/// Runs a DAG for a day to its end.
async fn run_for(node: &Node, hand: &Hand, dag_id: &str, date: i64) -> v1::DagRun {
    let request = v1::TriggerRunRequest {
        dag_id: dag_id.to_owned(),
        logical_date: Some(date),
        ..v1::TriggerRunRequest::default()
    };
    let run = admin!(node, trigger_run, request).unwrap();
    let client = node.client(crate::harness::ADMIN);
    while run_state(&client, &run).await.run.unwrap().state != "success" {
        let (_, key, token) = hand.next().await;
        hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    }
    run
}

async fn started(specs: &[DagSpec]) -> (Installation, Node, Hand) {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    for spec in specs {
        let answer = publish(&node.client(PROCESSOR), spec).await;
        assert!(answer.refused.is_empty(), "{answer:?}");
    }
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    (installation, node, hand)
}

fn clear(run: &v1::DagRun, task_ids: &[&str]) -> v1::ClearTasksRequest {
    v1::ClearTasksRequest {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_ids: task_ids.iter().map(ToString::to_string).collect(),
        ..v1::ClearTasksRequest::default()
    }
}

/// What was or would be cleared: DAG, day, task.
fn cleared(answer: &v1::ListTaskInstancesResponse, runs: &[&v1::DagRun]) -> Vec<(String, i64, String)> {
    let date = |ti: &v1::TaskInstance| {
        let run = runs.iter().find(|run| run.dag_id == ti.dag_id && run.run_id == ti.run_id).unwrap();
        (run.logical_date.unwrap() - day(0)) / (day(1) - day(0))
    };
    let mut found: Vec<_> =
        answer.task_instances.iter().map(|ti| (ti.dag_id.clone(), date(ti), ti.task_id.clone())).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn past_and_future_reach_the_other_runs_by_logical_date() {
    let (_installation, node, hand) = started(&[dag("d", &[("only", &[])])]).await;
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(run_for(&node, &hand, "d", day(n)).await);
    }
    let runs: Vec<&v1::DagRun> = runs.iter().collect();
    let of = |past, future| v1::ClearTasksRequest { past, future, dry_run: true, ..clear(runs[1], &[]) };
    for (past, future, days) in [(false, false, vec![1]), (true, false, vec![0, 1]), (false, true, vec![1, 2])] {
        let answer = admin!(node, clear_tasks, of(past, future)).unwrap();
        let found: Vec<i64> = cleared(&answer, &runs).into_iter().map(|(_, date, _)| date).collect();
        assert_eq!(found, days, "past {past}, future {future}");
    }
    let both = v1::ClearTasksRequest { dry_run: false, ..of(true, true) };
    assert_eq!(admin!(node, clear_tasks, both).unwrap().total, 3);
    for run in &runs {
        let state = run_state(&node.client(crate::harness::ADMIN), run).await.run.unwrap();
        assert_ne!(state.state, "success", "{} runs again", run.run_id);
        assert_eq!(state.clear_number, 1);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_date_has_no_past() {
    let (_installation, node, _) = started(&[dag("d", &[("only", &[])])]).await;
    let request =
        v1::TriggerRunRequest { dag_id: "d".to_owned(), null_logical_date: true, ..v1::TriggerRunRequest::default() };
    let run = admin!(node, trigger_run, request).unwrap();
    let error = admin!(node, clear_tasks, v1::ClearTasksRequest { past: true, ..clear(&run, &[]) }).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("no logical date"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_lead_to_the_run_of_the_same_date() {
    let child = dag("child", &[("before", &[]), ("waits", &["before"]), ("after", &["waits"])]);
    let (_installation, node, hand) = started(&[marking("parent", "child", Some("waits"), 10), child]).await;
    let parent = run_for(&node, &hand, "parent", day(0)).await;
    let same = run_for(&node, &hand, "child", day(0)).await;
    let other = run_for(&node, &hand, "child", day(1)).await;
    let runs = [&parent, &same, &other];

    let dry = v1::ClearTasksRequest { dry_run: true, ..clear(&parent, &["first"]) };
    let own = ("parent".to_owned(), 0, "first".to_owned());
    let waits = |task: &str| ("child".to_owned(), 0, task.to_owned());
    let all = vec![waits("after"), waits("waits"), own.clone()];
    assert_eq!(cleared(&admin!(node, clear_tasks, dry.clone()).unwrap(), &runs), all);
    let alone = v1::ClearTasksRequest { exclude_markers: true, ..dry };
    assert_eq!(cleared(&admin!(node, clear_tasks, alone).unwrap(), &runs), [own]);
    // A task that is no marker leads nowhere.
    let second = v1::ClearTasksRequest { dry_run: true, ..clear(&parent, &["second"]) };
    assert_eq!(admin!(node, clear_tasks, second).unwrap().total, 1);

    assert_eq!(cleared(&admin!(node, clear_tasks, clear(&parent, &["first"])).unwrap(), &runs), all);
    let client = node.client(crate::harness::ADMIN);
    eventually("the child runs again", || async {
        let state = run_state(&client, &same).await;
        let waits = state.task_instances.into_iter().find(|ti| ti.task_id == "waits")?;
        (waits.state == "queued").then_some(())
    })
    .await;
    assert_eq!(run_state(&client, &other).await.run.unwrap().state, "success");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_in_a_circle_end_and_too_deep_ones_are_refused() {
    let (_installation, node, hand) =
        started(&[marking("a", "b", None, 10), marking("b", "a", None, 10), marking("shallow", "a", None, 1)]).await;
    let a = run_for(&node, &hand, "a", day(0)).await;
    let b = run_for(&node, &hand, "b", day(0)).await;
    let shallow = run_for(&node, &hand, "shallow", day(0)).await;
    let runs = [&a, &b, &shallow];
    let answer = admin!(node, clear_tasks, v1::ClearTasksRequest { dry_run: true, ..clear(&a, &["first"]) }).unwrap();
    let found: Vec<String> =
        cleared(&answer, &runs).into_iter().map(|(dag_id, _, task_id)| format!("{dag_id}.{task_id}")).collect();
    assert_eq!(found, ["a.first", "a.second", "b.first", "b.second"]);
    // From `shallow` the chain goes on from `a` to `b`, deeper than its marker allows; nothing is cleared.
    let error = admin!(node, clear_tasks, clear(&shallow, &["first"])).unwrap_err();
    assert!(error.message.contains("recursion_depth"), "{}", error.message);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for run in runs {
        assert_eq!(run_state(&node.client(crate::harness::ADMIN), run).await.run.unwrap().clear_number, 0);
    }
    node.stop().await;
}
