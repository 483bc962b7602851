use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tradewind_ports::{Queue, QueueDepth, QueueError};
use tradewind_proto::{admin_client, v1};
use tradewind_types::{AttemptKey, Hint, QueueName};
use uuid::Uuid;

use crate::{
    harness::eventually,
    support::{PATIENCE, World, bash, pids, reference, runs, task},
};

#[tokio::test(flavor = "multi_thread")]
async fn tasks_pass_values_write_logs_and_show_their_fields() {
    let world = World::new().await;
    let worker = world.worker("w");
    let run = world
        .run(
            "sales",
            json!([
                task("start", &[], json!({"kind": "noop", "value": {"rows": 3}})),
                bash(
                    "count",
                    &["start"],
                    "echo counting; echo oops >&2; echo $((2 * {{ ti.xcom_pull('start').rows }}))"
                ),
                bash("check", &["count"], "echo $AIRFLOW_CTX_TASK_ID-{{ ti.xcom_pull('count') }}"),
            ]),
        )
        .await;
    assert_eq!(world.ends(&run).await, "success");
    assert_eq!(world.xcom(&run, "check").await, Some(json!("check-6")));
    let mut messages = world.messages(&run, "count").await;
    messages.sort();
    assert_eq!(messages, ["6", "counting", "oops"]);
    let rendered = world.rendered(&run, "check").await.unwrap();
    assert_eq!(rendered["command"], "echo $AIRFLOW_CTX_TASK_ID-6");
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_out_of_logs_notes_and_fields() {
    let world = World::new().await;
    let set = v1::SetConnectionRequest {
        connection: Some(v1::Connection {
            conn_id: "db".to_owned(),
            conn_type: "generic".to_owned(),
            password: Some("hunter-22".to_owned()),
            ..v1::Connection::default()
        }),
        ..v1::SetConnectionRequest::default()
    };
    world
        .admin
        .call(PATIENCE, |channel| {
            let set = set.clone();
            async move { admin_client(channel).set_connection(set).await }
        })
        .await
        .unwrap();
    let worker = world.worker("w");
    let fail = task(
        "fail",
        &[],
        json!({"kind": "bash", "command": "echo pw={{ conn.db.password }}", "cwd": "/none/{{ conn.db.password }}"}),
    );
    let run = world.run("leaky", json!([bash("say", &[], "echo pw={{ conn.db.password }}"), fail])).await;
    world.ends(&run).await;
    assert_eq!(world.messages(&run, "say").await, ["pw=***"]);
    let note = world.task(&run, "fail").await.note.unwrap();
    assert!(note.contains("/none/***") && !note.contains("hunter"), "{note}");
    let rendered = world.rendered(&run, "say").await.unwrap();
    assert_eq!(rendered["command"], "echo pw=***");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_why() {
    let world = World::new().await;
    let worker = world.worker("w");
    let mut slow = bash("slow", &[], "sleep 1000");
    slow["execution_timeout"] = json!({"secs": 0, "nanos": 300_000_000});
    let python = json!({"task_id": "python", "operator":
        {"type": "python", "class": "PythonOperator", "module": "airflow.providers.standard.operators.python"}});
    let run = world
        .run(
            "failing",
            json!([
                bash("large", &[], "printf %2000s x | tr ' ' y"),
                bash("code", &[], "exit 7"),
                bash("wrong", &[], "echo {{ nothing }}"),
                bash("skip", &[], "exit 99"),
                slow,
                python
            ]),
        )
        .await;
    assert_eq!(world.ends(&run).await, "failed");
    for (task, part) in [
        ("large", "xcom.inline_max_bytes"),
        ("code", "non-zero exit code 7"),
        ("wrong", "command, line 1: undefined value"),
        ("slow", "execution_timeout of 0.3 s"),
        ("python", "python.interpreter"),
    ] {
        let ti = world.task(&run, task).await;
        assert_eq!(ti.state, "failed", "{task}");
        let note = ti.note.unwrap_or_default();
        assert!(note.contains(part), "{task}: {note}");
        let messages = world.messages(&run, task).await;
        assert!(messages.iter().any(|message| message.contains(part)), "{task}: {messages:?}");
    }
    assert_eq!(world.task(&run, "skip").await.state, "skipped");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_taken_back_is_killed() {
    let world = World::new().await;
    let worker = world.worker("w");
    let file = world.dir.path().join("pids");
    let command = format!("sleep 1000 & echo $! >>{0}; echo $$ >>{0}; wait", file.display());
    let run = world.run("long", json!([bash("sleep", &[], &command)])).await;
    let pids = pids(&file, 2).await;
    let mark = v1::MarkTaskRequest { task: Some(reference(&run, "sleep")), state: "failed".to_owned() };
    world
        .admin
        .call(PATIENCE, |channel| {
            let mark = mark.clone();
            async move { admin_client(channel).mark_task(mark).await }
        })
        .await
        .unwrap();
    let marked = std::time::Instant::now();
    for pid in &pids {
        eventually("the end of the process", || async { (!runs(pid)).then_some(()) }).await;
    }
    // The next heartbeat says so, after 3 s at most; without it the lease would have ended after 9 s at the earliest.
    assert!(marked.elapsed() < Duration::from_secs(8), "killed only after {:?}", marked.elapsed());
    assert_eq!(world.task(&run, "sleep").await.state, "failed");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_tasks_finish_and_gives_back_the_rest() {
    let world = World::new().await;
    let mut settings = world.settings("first");
    settings.drain_grace = Duration::from_millis(700);
    settings.kill_grace = Duration::from_millis(100);
    let first = world.start(settings, world.installation.queue.clone(), None);
    let file = world.dir.path().join("pids");
    let gate = world.dir.path().join("gate");
    // It ends by itself only on the second worker, which opens the gate.
    let long = format!("echo $$ >>{0}; until [ -e {1} ]; do sleep 0.02; done", file.display(), gate.display());
    let run = world.run("mixed", json!([bash("long", &[], &long), bash("short", &[], "sleep 0.3; echo done")])).await;
    let before = pids(&file, 1).await;
    world.becomes(&run, "short", "running").await;
    first.stop().await;
    assert!(!runs(&before[0]), "the worker has ended and its task goes on");
    assert_eq!(world.task(&run, "short").await.state, "success");
    let ti = world.task(&run, "long").await;
    assert_eq!((ti.state.as_str(), ti.try_number, ti.worker_losses), ("queued", 1, 0), "given back: {ti:?}");

    std::fs::write(&gate, "").unwrap();
    let second = world.worker("second");
    assert_eq!(world.ends(&run).await, "success");
    assert_eq!(world.task(&run, "long").await.worker.as_deref(), Some("second"));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_at_once_and_leaves_no_process() {
    let world = World::new().await;
    let worker = world.worker("w");
    let file = world.dir.path().join("pids");
    let command = format!("trap '' TERM; echo $$ >>{}; sleep 1000; sleep 1000", file.display());
    world.run("long", json!([bash("sleep", &[], &command)])).await;
    let pids = pids(&file, 1).await;
    let asked = std::time::Instant::now();
    worker.shutdown.cancel();
    worker.abort.cancel();
    worker.task.await.unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(!runs(&pids[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_can_drain_a_worker() {
    let world = World::with_lease(Duration::from_secs(3)).await;
    let worker = world.worker("w");
    let run = world.run("one", json!([bash("a", &[], "true")])).await;
    world.ends(&run).await;
    let name = v1::NameRequest { name: "w".to_owned() };
    world
        .admin
        .call(PATIENCE, |channel| {
            let name = name.clone();
            async move { admin_client(channel).drain_worker(name).await }
        })
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, worker.task).await.unwrap().unwrap().unwrap();
}

/// A queue that is away.
struct Away;

fn away<T>() -> Result<T, QueueError> {
    Err(QueueError::Unavailable("it was switched off for a test".to_owned()))
}

#[async_trait]
impl Queue for Away {
    async fn push(&self, _hints: &[Hint]) -> Result<(), QueueError> {
        away()
    }
    async fn remove(&self, _keys: &[(QueueName, AttemptKey)]) -> Result<(), QueueError> {
        away()
    }
    async fn pop(&self, _: &[QueueName], _: usize, _: Duration) -> Result<Vec<(QueueName, AttemptKey)>, QueueError> {
        away()
    }
    async fn contains(&self, _: &QueueName, _: &[AttemptKey]) -> Result<Vec<bool>, QueueError> {
        away()
    }
    async fn depths(&self, _: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        away()
    }
    async fn generation(&self) -> Result<Option<Uuid>, QueueError> {
        away()
    }
    async fn set_generation(&self, _: Uuid) -> Result<(), QueueError> {
        away()
    }
    async fn ping(&self) -> Result<Duration, QueueError> {
        away()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_queue_work_comes_from_the_leader() {
    let world = World::new().await;
    let worker = world.start(world.settings("w"), std::sync::Arc::new(Away), None);
    let run = world.run("pair", json!([bash("a", &[], "true"), bash("b", &["a"], "true")])).await;
    assert_eq!(world.ends(&run).await, "success");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_comes_whole_and_in_order() {
    let world = World::new().await;
    let worker = world.worker("w");
    // Below the harness's limit of 10,000 bytes.
    let run = world.run("chatty", json!([bash("count", &[], "for i in {1..60}; do echo $i; done")])).await;
    assert_eq!(world.ends(&run).await, "success");
    let expected: Vec<String> = (1..=60).map(|n| n.to_string()).collect();
    assert_eq!(world.messages(&run, "count").await, expected);
    // Above it, the log ends and the task does not.
    let run = world.run("flood", json!([bash("count", &[], "seq 1 100000")])).await;
    assert_eq!(world.ends(&run).await, "success");
    assert_eq!(world.xcom(&run, "count").await, Some(json!("100000")));
    worker.stop().await;
}
