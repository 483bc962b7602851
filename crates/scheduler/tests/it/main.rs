//! The scheduler over real gRPC, on a real store and queue.

#[macro_use]
mod calls;
mod assets;
mod backfills;
mod clearing;
mod failover;
mod harness;
mod params;
mod publishing;
mod repair;
mod task_requests;
mod timetables;
mod waits;
mod worker_protocol;
