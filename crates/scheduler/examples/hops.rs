//! The scheduler's share of a hop, without a worker: a chain of no-ops is claimed and reported over gRPC as fast as the
//! answers come, so each hop is one round trip and one commit. Durable, as in production.
//!
//!     cargo run --release -p tradewind-scheduler --example hops -- sqlite:///tmp/hops.db
//!     cargo run --release -p tradewind-scheduler --example hops -- postgres://…

#[path = "../tests/it/harness.rs"]
#[allow(dead_code, missing_docs, reason = "the tests use all of it")]
mod harness;

use std::time::Instant;

use harness::{ADMIN, Hand, Installation, PROCESSOR, WORKER, dag, publish, trigger};
use tradewind_proto::v1;
use tradewind_types::{AttemptKey, AttemptOutcome, LeaseToken, TiId};

const LENGTH: usize = 1_000;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqlite:///tmp/tradewind-hops.db".to_owned());
    let installation = Installation::open(&url).await;
    let node = installation.scheduler("bench").await;
    node.leads().await;
    let names: Vec<String> = (0..LENGTH).map(|n| format!("t{n}")).collect();
    let upstream: Vec<Vec<&str>> =
        (0..LENGTH).map(|n| if n == 0 { Vec::new() } else { vec![names[n - 1].as_str()] }).collect();
    let tasks: Vec<(&str, &[&str])> =
        names.iter().zip(&upstream).map(|(name, upstream)| (name.as_str(), upstream.as_slice())).collect();
    let dag_id = format!("chain_{}", std::process::id());
    publish(&node.client(PROCESSOR), &dag(&dag_id, &tasks)).await;
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.expect("registered");
    trigger(&node.client(ADMIN), &dag_id).await;
    let (_, mut key, mut token) = hand.next().await;
    let mut took = Vec::with_capacity(LENGTH);
    let begin = Instant::now();
    for _ in 1..LENGTH {
        let hop = Instant::now();
        let answer = hand.report(key, token, AttemptOutcome::Success, Vec::new(), 1).await.expect("reported");
        took.push(hop.elapsed());
        let Some(v1::claim_answer::Answer::Granted(grant)) = &answer.answers[0].answer else {
            panic!("no grant: {answer:?}")
        };
        let ti = grant.ti.as_ref().expect("a task instance");
        key = AttemptKey { ti: TiId(ti.id.parse().expect("a UUID")), attempt: ti.attempt };
        token = LeaseToken(grant.token.parse().expect("a UUID"));
    }
    let total = begin.elapsed();
    took.sort();
    println!(
        "{} hops: {:.2} ms a hop; p50 {:.2} ms, p99 {:.2} ms",
        LENGTH - 1,
        total.as_secs_f64() * 1_000.0 / (LENGTH - 1) as f64,
        took[took.len() / 2].as_secs_f64() * 1_000.0,
        took[took.len() * 99 / 100].as_secs_f64() * 1_000.0
    );
    node.stop().await;
}
