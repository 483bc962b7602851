//! The worker: takes attempts from the queues it serves, runs them, and reports how they ended.
//!
//! It owns slots, leases, running attempts, their logs and the bundle cache. It must never touch the database or the DAG
//! folder, and never write for an attempt whose lease it cannot prove: a worker that cannot renew a lease kills the task
//! before the lease runs out, and drops its result.
//!
//! How one attempt flows: `poll` pops a hint and claims it, `attempt` runs it (`native_task` or `guest_task`), `report`
//! hands in the result and claims the next one in the same call. Triggers of deferred task instances come from queues of
//! their own and have slots of their own (`trigger_task`, `trigger_hosts`); callbacks (`callback_task`) are attempts, too. Beside that, `heartbeat` renews all leases in one call,
//! `lease` ends what could not be renewed, and `watchdog` does so when this process is paused or dead.

mod assets;
mod attempt;
mod bundle;
mod bundle_fetch;
mod callback_task;
mod claim;
mod deferral;
mod drain;
mod grant;
mod guest_task;
mod heartbeat;
mod host;
mod host_answers;
mod host_assets;
mod lease;
mod log_buffer;
mod logs;
mod native_task;
mod poll;
mod register;
mod remote;
mod report;
mod session;
mod settings;
mod trigger_hosts;
mod trigger_task;
mod watchdog;
mod worker;
mod xcoms;
mod zygote;

pub use settings::WorkerSettings;
pub use worker::{Worker, WorkerError};
