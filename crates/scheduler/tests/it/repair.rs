//! The queue is a hint: whatever is lost in it comes back.

use std::time::Duration;

use tradewind_ports::Queue;
use tradewind_types::QueueName;

use crate::harness::{ADMIN, Hand, Installation, PROCESSOR, WORKER, dag, eventually, publish, trigger};

#[tokio::test(flavor = "multi_thread")]
async fn a_popped_hint_that_nobody_claims_is_pushed_again() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &dag("one", &[("only", &[])])).await;
    trigger(&node.client(ADMIN), "one").await;
    let queues = [QueueName::from("default")];
    let pop = || async {
        let popped = installation.queue.pop(&queues, 1, Duration::from_secs(10)).await.unwrap();
        popped.into_iter().next().map(|(_, key)| key)
    };
    let first = eventually("the hint", pop).await;
    // A worker popped it and died before its claim.
    let second = eventually("the hint again", pop).await;
    assert_eq!(first, second);
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    assert!(hand.claim(Some(second), uuid::Uuid::new_v4()).await.unwrap().is_some());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_fills_an_empty_queue() {
    let mut installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &dag("one", &[("only", &[])])).await;
    trigger(&node.client(ADMIN), "one").await;
    node.stop().await;
    installation.queue = std::sync::Arc::new(tradewind_queue::MemoryQueue::new());
    let node = installation.scheduler("b").await;
    let queues = [QueueName::from("default")];
    let popped = installation.queue.pop(&queues, 1, Duration::from_secs(20)).await.unwrap();
    assert_eq!(popped.len(), 1);
    node.stop().await;
}
