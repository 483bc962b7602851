//! The queue port: hints, best score first. A queue may lose everything at any time; the leader rebuilds it.

use std::time::Duration;

use async_trait::async_trait;
use tradewind_types::{AttemptKey, Hint, QueueName, Timestamp};
use uuid::Uuid;

use crate::QueueError;

/// How a queue looks from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDepth {
    /// The queue.
    pub queue: QueueName,
    /// Hints in it.
    pub hints: u64,
}

/// Named queues of hints. Every operation is idempotent.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds hints. A hint that is there already stays as it is.
    async fn push(&self, hints: &[Hint]) -> Result<(), QueueError>;

    /// Removes hints, where they are still there.
    async fn remove(&self, keys: &[(QueueName, AttemptKey)]) -> Result<(), QueueError>;

    /// Takes up to `max` hints of one of `queues`, lowest score first; the queues are tried in the given order. Waits up to `wait` for one to come and
    /// answers nothing if none did. A cancelled call loses at most what it just popped: the repair sweep re-pushes it.
    async fn pop(
        &self,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<(QueueName, AttemptKey)>, QueueError>;

    /// Which of `keys` are in `queue`, in order.
    async fn contains(&self, queue: &QueueName, keys: &[AttemptKey]) -> Result<Vec<bool>, QueueError>;

    /// How many hints each of `queues` has.
    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError>;

    /// The generation under which the queues were last rebuilt; `None` when they never were or were wiped.
    async fn generation(&self) -> Result<Option<Uuid>, QueueError>;

    /// Marks the queues as rebuilt.
    async fn set_generation(&self, generation: Uuid) -> Result<(), QueueError>;

    /// When the queue answered last and whether it answers now, for health checks.
    async fn ping(&self) -> Result<Duration, QueueError>;
}

/// A queue's true state, as the leader knows it, beside what the queue says.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStatus {
    /// The queue.
    pub queue: QueueName,
    /// Queued task instances (the truth).
    pub queued: u64,
    /// When the oldest of them was queued.
    pub oldest: Option<Timestamp>,
    /// Running task instances.
    pub running: u64,
    /// Workers that serve it.
    pub workers: Vec<String>,
    /// Hints in the queue; `None` when it does not answer.
    pub hints: Option<u64>,
}
