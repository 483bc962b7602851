//! The queue adapters: Redis and in-process, behind the [`Queue`] port.
//!
//! A queue holds hints (which attempt is ready), never truth: it may lose everything at any time, and the leader rebuilds
//! it. This crate is the only place that speaks Redis.
//!
//! A pop that names several queues looks at them in the given order and takes from the first that has hints, on Redis as
//! in memory: a queue that never runs dry starves those named after it. A worker that serves several queues therefore
//! rotates their order from pop to pop.

mod memory;
mod redis;

use std::sync::Arc;

pub use memory::MemoryQueue;
pub use redis::RedisQueue;
use tradewind_ports::{Queue, QueueError};

/// Opens the queue at `url`: `redis://user:password@host:port/db`, `rediss://…` for TLS, or `memory:` for a queue inside
/// this process. `env` separates installations that share one Redis.
///
/// # Errors
/// [`QueueError::Config`] for a bad URL, a wrong password or a Redis older than 7, [`QueueError::Unavailable`] for one that
/// does not answer. No message holds a password.
pub async fn open(url: &str, env: &str) -> Result<Arc<dyn Queue>, QueueError> {
    match url.split(':').next().unwrap_or_default() {
        "memory" => Ok(Arc::new(MemoryQueue::new())),
        "redis" | "rediss" => Ok(Arc::new(RedisQueue::connect(url, env).await?)),
        scheme => Err(QueueError::Config(format!(
            "the queue URL has the unknown scheme \"{scheme}\"; write redis://host:port, rediss://host:port or memory:"
        ))),
    }
}
