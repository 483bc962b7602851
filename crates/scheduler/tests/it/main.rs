//! The scheduler over real gRPC, on a real store and queue.

mod failover;
mod harness;
mod publishing;
mod repair;
mod worker_protocol;
