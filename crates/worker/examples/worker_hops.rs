//! A hop through a real worker: a chain of no-ops and a wide fan-out, over gRPC, durable as in production. Beside the
//! scheduler's own example of the same name, the difference is what the worker adds.
//!
//!     cargo run --release -p tradewind-worker --example worker_hops -- sqlite:///tmp/hops.db
//!     cargo run --release -p tradewind-worker --example worker_hops -- postgres://…

#[path = "../../scheduler/tests/it/harness.rs"]
#[allow(dead_code, missing_docs, reason = "the tests use all of it")]
mod harness;

use std::{collections::BTreeMap, time::Duration};

use harness::{ADMIN, Installation, Node, PROCESSOR, WORKER, dag, eventually, publish, run_state, trigger};
use tokio_util::sync::CancellationToken;
use tradewind_worker::{Worker, WorkerSettings};

const CHAIN: usize = 1_000;
const WIDE: usize = 1_000;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqlite:///tmp/tradewind-hops.db".to_owned());
    let installation = Installation::open(&url).await;
    let node = installation.scheduler("bench").await;
    node.leads().await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = WorkerSettings {
        name: "w".into(),
        queues: vec!["default".into()],
        slots: 16,
        trigger_slots: 0,
        callback_timeout: Duration::from_secs(60),
        dir: folder.path().to_owned(),
        env: Vec::new(),
        drain_grace: Duration::from_secs(1),
        kill_grace: Duration::from_secs(1),
        task_dir: None,
        bundle_cache_bytes: 1 << 20,
        environments: tradewind_environments::EnvironmentOptions::default(),
        xcom_max_bytes: 1 << 30,
        xcom_storage: None,
        labels: BTreeMap::new(),
    };
    let shutdown = CancellationToken::new();
    let worker = Worker::new(settings, node.client(WORKER), installation.queue.clone(), None);
    let worker = tokio::spawn(worker.run(shutdown.clone()));

    let names: Vec<String> = (0..CHAIN.max(WIDE)).map(|n| format!("t{n}")).collect();
    let upstream: Vec<Vec<&str>> =
        (0..CHAIN).map(|n| if n == 0 { Vec::new() } else { vec![names[n - 1].as_str()] }).collect();
    let chain: Vec<(&str, &[&str])> =
        names.iter().zip(&upstream).map(|(name, upstream)| (name.as_str(), upstream.as_slice())).collect();
    let hop = measure(&node, "chain", &chain, CHAIN).await * 1_000.0;
    println!("chain of {CHAIN}: {hop:.2} ms a hop");
    let wide: Vec<(&str, &[&str])> = names.iter().take(WIDE).map(|name| (name.as_str(), &[][..])).collect();
    let task = measure(&node, "wide", &wide, WIDE).await;
    println!("{WIDE} side by side: {:.0} tasks/s", 1.0 / task);

    shutdown.cancel();
    worker.await.expect("the worker's task").expect("the worker");
    node.stop().await;
}

/// Seconds a task, by the scheduler's own dates.
async fn measure(node: &Node, name: &str, tasks: &[(&str, &[&str])], count: usize) -> f64 {
    let dag_id = format!("{name}_{}", std::process::id());
    let mut spec = dag(&dag_id, tasks);
    spec.max_active_tasks = u32::MAX;
    publish(&node.client(PROCESSOR), &spec).await;
    let admin = node.client(ADMIN);
    let run = trigger(&admin, &dag_id).await;
    let run = eventually("the end of the run", || async {
        let run = run_state(&admin, &run).await.run?;
        run.end_date.is_some().then_some(run)
    })
    .await;
    assert_eq!(run.state, "success");
    let micros = run.end_date.unwrap_or_default() - run.start_date.unwrap_or_default();
    micros as f64 / 1e6 / count as f64
}
