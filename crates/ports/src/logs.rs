//! The log port: the output of attempts, appended while they run, read during and after.

use async_trait::async_trait;
use tradewind_types::{AttemptKey, RunNo};

use crate::StoreError;

/// A part of an attempt's log: newline-separated JSON records, as the worker wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Byte offset of `data` in the attempt's log.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Keeps logs. An append at an offset that is there already changes nothing, so it can be repeated.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Appends a chunk that ends at a record boundary. `chunk.offset` must be the current length or lie before it.
    async fn append_log(&self, run: RunNo, key: AttemptKey, chunk: &LogChunk) -> Result<(), StoreError>;

    /// Reads up to `max` bytes from `offset`; empty at the end.
    async fn read_log(&self, key: AttemptKey, offset: u64, max: usize) -> Result<Vec<u8>, StoreError>;

    /// The attempts of a task instance that have a log, ascending.
    async fn log_attempts(&self, ti: tradewind_types::TiId) -> Result<Vec<u32>, StoreError>;
}
