//! The in-process queue.

use std::{sync::Arc, time::Duration};

use tradewind_ports::Queue;
use tradewind_queue::MemoryQueue;
use tradewind_types::{AttemptKey, Hint, TiId};

async fn queue() -> (Arc<MemoryQueue>, ()) {
    (Arc::new(MemoryQueue::new()), ())
}

tradewind_ports::queue_conformance!(queue);

fn hint(n: u128) -> Hint {
    Hint { queue: "q".into(), key: AttemptKey { ti: TiId(uuid::Uuid::from_u128(n)), attempt: 1 }, score: 0 }
}

/// In one process a pop that is given up never takes a hint with it, however late it is given up.
#[tokio::test]
async fn a_pop_given_up_after_it_was_served_puts_its_hint_back() {
    let queue = MemoryQueue::new();
    let names = ["q".into()];
    for n in 0..10 {
        let mut waiting = Box::pin(queue.pop(&names, 1, Duration::from_secs(20)));
        // Polled once, it waits; the push serves it; it is dropped before it is polled again.
        let polled = futures_poll_once(&mut waiting).await;
        assert!(polled.is_none());
        queue.push(&[hint(n)]).await.unwrap();
        drop(waiting);
        let popped = queue.pop(&names, 1, Duration::ZERO).await.unwrap();
        assert_eq!(popped, [("q".into(), hint(n).key)]);
    }
}

async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Who waits longest is served first.
#[tokio::test]
async fn waiting_pops_are_served_in_order() {
    let queue = MemoryQueue::new();
    let names = ["q".into()];
    let long = Duration::from_secs(20);
    let mut first = Box::pin(queue.pop(&names, 1, long));
    let mut second = Box::pin(queue.pop(&names, 5, long));
    assert!(futures_poll_once(&mut first).await.is_none());
    assert!(futures_poll_once(&mut second).await.is_none());
    queue.push(&[hint(1), hint(2), hint(3)]).await.unwrap();
    assert_eq!(first.await.unwrap().len(), 1);
    assert_eq!(second.await.unwrap().len(), 2);
}
