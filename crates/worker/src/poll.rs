//! Takes hints from the queues for free slots, and claims them. When the queue is away, it asks the leader directly.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tradewind_types::{AttemptKey, QueueName};

use crate::{
    claim::{self, Offer},
    session::{Session, Slot},
};

/// How long one pop waits.
const POP_WAIT: Duration = Duration::from_secs(2);
/// Hints of one pop at most: a batch is one claim and, for the leader, one commit.
const BATCH: usize = 64;
/// What follows the name of a queue in that of its triggers.
const TRIGGERS: &str = ".triggers";
/// The shortest and the longest pause while the queue is away and nothing is granted.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Polls until the worker drains.
pub(crate) async fn poll(session: Arc<Session>) {
    let mut turn = 0;
    let mut backoff = Backoff::default();
    loop {
        let slots = tokio::select! {
            () = session.draining.cancelled() => return,
            slots = free_slots(&session.slots, Slot::task) => slots,
        };
        let queues = rotated(&session.settings.queues, turn);
        turn = turn.wrapping_add(1);
        let popped = tokio::select! {
            () = session.draining.cancelled() => return,
            popped = session.queue.pop(&queues, slots.len(), POP_WAIT) => popped,
        };
        match popped {
            Ok(hints) => {
                if backoff.reset() {
                    tracing::info!("the queue is back");
                }
                let hints: Vec<AttemptKey> = hints.into_iter().map(|(_, key)| key).collect();
                if !hints.is_empty() {
                    claim_hints(&session, hints, slots);
                }
            }
            Err(error) => {
                if backoff.begin() {
                    tracing::warn!(%error, "the queue is away; asking the scheduler for work directly");
                }
                let pause = without_hints(&session, slots, &mut backoff).await;
                tokio::select! {
                    () = session.draining.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

/// Polls for triggers until the worker drains. While the queue is away there is nothing to do: hints that are lost with it
/// are pushed again by the leader's repair.
pub(crate) async fn poll_triggers(session: Arc<Session>) {
    let queues: Vec<QueueName> =
        session.settings.queues.iter().map(|queue| QueueName::new(format!("{queue}{TRIGGERS}"))).collect();
    let mut turn = 0;
    loop {
        let slots = tokio::select! {
            () = session.draining.cancelled() => return,
            slots = free_slots(&session.trigger_slots, Slot::trigger) => slots,
        };
        let queues = rotated(&queues, turn);
        turn = turn.wrapping_add(1);
        let popped = tokio::select! {
            () = session.draining.cancelled() => return,
            popped = session.queue.pop(&queues, slots.len(), POP_WAIT) => popped,
        };
        match popped {
            Ok(hints) if hints.is_empty() => {}
            Ok(hints) => claim_hints(&session, hints.into_iter().map(|(_, key)| key).collect(), slots),
            Err(_) => tokio::select! {
                () = session.draining.cancelled() => return,
                () = tokio::time::sleep(BACKOFF.1) => {}
            },
        }
    }
}

/// At least one free slot, and all others that are free.
async fn free_slots(free: &Arc<Semaphore>, of: fn(tokio::sync::OwnedSemaphorePermit) -> Slot) -> Vec<Slot> {
    let mut slots = Vec::new();
    // The semaphore is never closed.
    if let Ok(slot) = Arc::clone(free).acquire_owned().await {
        slots.push(of(slot));
    }
    while slots.len() < BATCH {
        match Arc::clone(free).try_acquire_owned() {
            Ok(slot) => slots.push(of(slot)),
            Err(_) => break,
        }
    }
    slots
}

/// Claims what was popped, beside the next pop.
fn claim_hints(session: &Arc<Session>, hints: Vec<AttemptKey>, slots: Vec<Slot>) {
    let offers: Vec<Offer> = hints.into_iter().zip(slots).map(|(hint, slot)| Offer::new(Some(hint), slot)).collect();
    let session = Arc::clone(session);
    // Counted before the task runs: a drain that begins now must wait for it.
    let open = claim::OpenClaim::new(&session);
    tokio::spawn(async move {
        if let Err(error) = claim::claim(&session, offers).await {
            // The hints are lost with it; the leader's repair pushes those again that are still due.
            tracing::warn!(%error, "a claim failed");
            if !error.code.is_retryable() {
                session.register_now.notify_one();
            }
        }
        drop(open);
    });
}

/// Asks for whatever is next; answers the pause before the next round.
async fn without_hints(session: &Arc<Session>, slots: Vec<Slot>, backoff: &mut Backoff) -> Duration {
    let offers = slots.into_iter().map(|slot| Offer::new(None, slot)).collect();
    match claim::claim(session, offers).await {
        Ok(granted) if granted > 0 => backoff.again(),
        Ok(_) => backoff.longer(),
        Err(error) => {
            tracing::warn!(%error, "a claim without a hint failed");
            backoff.longer()
        }
    }
}

/// The queues beginning with another one each turn: none of them can starve the others.
fn rotated(queues: &[QueueName], turn: usize) -> Vec<QueueName> {
    let mut rotated = queues.to_vec();
    if !rotated.is_empty() {
        let middle = turn % rotated.len();
        rotated.rotate_left(middle);
    }
    rotated
}

/// The pauses while the queue is away.
#[derive(Debug, Default)]
struct Backoff {
    pause: Option<Duration>,
}

impl Backoff {
    /// True when it was not away before.
    fn begin(&mut self) -> bool {
        let first = self.pause.is_none();
        self.pause.get_or_insert(BACKOFF.0);
        first
    }

    /// True when it was away before.
    fn reset(&mut self) -> bool {
        self.pause.take().is_some()
    }

    fn again(&mut self) -> Duration {
        self.pause = Some(BACKOFF.0);
        Duration::ZERO
    }

    fn longer(&mut self) -> Duration {
        let pause = self.pause.unwrap_or(BACKOFF.0);
        self.pause = Some((pause * 2).min(BACKOFF.1));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_comes_first_in_turn() {
        let queues: Vec<QueueName> = ["a", "b", "c"].map(QueueName::from).to_vec();
        let first: Vec<String> = (0..4).map(|turn| rotated(&queues, turn)[0].to_string()).collect();
        assert_eq!(first, ["a", "b", "c", "a"]);
        assert_eq!(rotated(&queues, 5).len(), 3);
    }

    #[test]
    fn pauses_grow_and_start_over() {
        let mut backoff = Backoff::default();
        assert!(backoff.begin() && !backoff.begin());
        let pauses: Vec<u128> = (0..6).map(|_| backoff.longer().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000]);
        assert_eq!(backoff.again(), Duration::ZERO);
        assert_eq!(backoff.longer(), BACKOFF.0);
        assert!(backoff.reset() && !backoff.reset());
    }
}
