//! The pure engine: what happens to DAG runs and task instances, with no I/O, no clock and no randomness.
//!
//! [`Engine::step`] applies an [`Event`] and fills [`Effects`]: rows to commit in one transaction, then dispatches. The
//! cost of a step follows from what it changes, not from how many DAGs, runs or tasks there are.

mod admit;
mod assets;
mod attempts;
mod backfill;
mod callbacks;
mod change;
mod clear;
mod create;
mod dags;
mod deferral;
mod engine;
mod event;
mod expansion;
mod explain;
mod fast;
mod graph;
mod human;
mod invariants;
mod leases;
mod mapping;
mod memory;
mod read;
mod ready;
mod restore;
mod retain;
pub mod retry;
pub mod rules;
mod runs;
mod schedule;
mod scopes;
mod selection;
mod spec;
mod timers;
pub mod timetable;
mod upgrade;

pub use change::is_legal;
pub use engine::Engine;
pub use event::*;
pub use read::{Counts, DagView, QueueCounts, RunView};
pub use spec::check_spec;
