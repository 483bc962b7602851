//! The adapters against the conformance suite and what is theirs alone.

mod memory;
mod redis_queue;
