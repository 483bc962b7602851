//! The worker against the real scheduler, over gRPC, with a real store and queue.

#[path = "../../../scheduler/tests/it/harness.rs"]
#[allow(dead_code, missing_docs, reason = "the scheduler's own tests use all of it")]
mod harness;

mod callbacks;
mod leases;
mod mapping;
mod python;
mod support;
mod tasks;
mod waits;
