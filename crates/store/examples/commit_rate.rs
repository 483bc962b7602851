//! Measures commits: `cargo run --release -p tradewind-store --example commit_rate -- URL`. The database must be empty.

use std::time::{Duration, Instant};

use tradewind_ports::conformance::{at, commit, dag_set, lead, run, task_instance, xcom};
use tradewind_store::{StoreOptions, open};
use tradewind_types::{LeaseToken, RunState, TaskInstance, TaskState, WriteSet};
use uuid::Uuid;

fn quantile(times: &mut [Duration], q: f64) -> Duration {
    times.sort();
    times[((times.len() - 1) as f64 * q) as usize]
}

fn running(ti: &TaskInstance, attempt: u32) -> TaskInstance {
    TaskInstance {
        state: TaskState::Running,
        attempt,
        start_date: Some(at(i64::from(attempt))),
        worker: Some("worker-1".into()),
        token: Some(LeaseToken(Uuid::from_u128(attempt.into()))),
        ..ti.clone()
    }
}

fn main() {
    let url = std::env::args().nth(1).expect("the URL of an empty database");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(&url));
}

async fn measure(url: &str) {
    const INSTANCES: usize = 10_000;
    let store = open(url, StoreOptions::default()).await.unwrap();
    let term = lead(store.as_ref()).await;
    let (mut rows, version) = dag_set("d", &["t"]);
    let mut first = run(1, &version);
    rows.run(&first, true);
    commit(store.as_ref(), term, &rows).await;
    let instances: Vec<TaskInstance> = (0..INSTANCES).map(|i| task_instance(&first, &format!("task-{i}"))).collect();
    let mut rows = WriteSet::default();
    for ti in &instances {
        rows.task_instance(ti, true);
    }
    let before = Instant::now();
    commit(store.as_ref(), term, &rows).await;
    report("insert 10,000 instances in one commit", INSTANCES, before.elapsed());

    for (name, size, rounds) in [("update 10,000 in one commit", INSTANCES, 3), ("update 256 a commit", 256, 100)] {
        let before = Instant::now();
        for round in 0..rounds {
            let mut rows = WriteSet::default();
            for i in 0..size {
                rows.task_instance(&running(&instances[(round * size + i) % INSTANCES], 1 + round as u32), false);
            }
            commit(store.as_ref(), term, &rows).await;
        }
        report(name, size * rounds, before.elapsed());
    }

    first.state = RunState::Running;
    first.start_date = Some(at(9));
    for name in ["one instance", "two instances", "two instances, run and XCom"] {
        let mut times = Vec::new();
        for round in 0..3_000_u32 {
            let mut rows = WriteSet::default();
            let i = round as usize % (INSTANCES - 1);
            rows.task_instance(&running(&instances[i], round + 10), false);
            if name != "one instance" {
                rows.task_instance(&running(&instances[i + 1], round + 10), false);
            }
            if name.contains("XCom") {
                rows.run(&first, false);
                rows.xcoms.push(xcom(&instances[i], "return_value", serde_json::json!({"round": round})));
            }
            let before = Instant::now();
            commit(store.as_ref(), term, &rows).await;
            if round >= 200 {
                times.push(before.elapsed());
            }
        }
        let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        println!("commit of {name}: p50 {p50:?}, p99 {p99:?}");
    }
    let before = Instant::now();
    let loaded = store.load(0).await.unwrap();
    report("load instances", loaded.task_instances.len(), before.elapsed());
}

fn report(name: &str, count: usize, took: Duration) {
    println!("{name}: {took:?}, {:.0} rows/s", count as f64 / took.as_secs_f64());
}
