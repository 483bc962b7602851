//! The scheduler: a thin shell around the pure engine. It wins the leader lease, feeds events to the engine, commits what
//! the engine wants stored (grouped: many transitions, one transaction) under its term, and only then pushes hints and
//! answers. Every scheduler serves gRPC; one that does not lead answers reads and names the leader for the rest.

mod admin;
mod auth;
mod core;
mod dag_service;
mod grants;
mod leader;
mod logs;
mod params;
mod publish;
mod queue_repair;
mod server;
mod settings;
mod term;
mod timetables;
mod vault;
mod worker_service;
mod workers;
mod xcom_sweep;

pub use auth::Tokens;
pub use params::default_problems;
pub use server::{Running, Scheduler};
pub use settings::{SchedulerSettings, ServerTls};
