//! Measures the hop from a push to the pop that waits for it:
//! `cargo run --release -p tradewind-queue --example hop -- URL` (`redis://…` or `memory:`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tradewind_queue::open;
use tradewind_types::{AttemptKey, Hint, QueueName, TiId};
use uuid::Uuid;

fn main() {
    let url = std::env::args().nth(1).expect("a queue URL");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(&url));
}

async fn measure(url: &str) {
    const ROUNDS: u32 = 5_000;
    let queue = open(url, &format!("hop-{}", Uuid::new_v4().simple())).await.unwrap();
    let names: Vec<QueueName> = vec!["q".into()];
    let (ready, mut is_ready) = tokio::sync::mpsc::channel(1);
    let (popped, mut was_popped) = tokio::sync::mpsc::channel(1);
    let popping = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                ready.send(()).await.unwrap();
                let hints = queue.pop(&names, 1, Duration::from_secs(10)).await.unwrap();
                assert_eq!(hints.len(), 1);
                popped.send(Instant::now()).await.unwrap();
            }
        })
    };
    let mut hops = Vec::new();
    for round in 0..ROUNDS {
        is_ready.recv().await.unwrap();
        // Let the pop reach its queue.
        tokio::time::sleep(Duration::from_micros(200)).await;
        let hint = Hint {
            queue: "q".into(),
            key: AttemptKey { ti: TiId(Uuid::from_u128(round.into())), attempt: 1 },
            score: 0,
        };
        let before = Instant::now();
        queue.push(&[hint]).await.unwrap();
        let after = was_popped.recv().await.unwrap();
        hops.push(after.duration_since(before));
    }
    popping.await.unwrap();
    hops.sort();
    let at = |q: f64| hops[((hops.len() - 1) as f64 * q) as usize];
    println!("hop: p50 {:?}, p99 {:?}", at(0.5), at(0.99));
}
