//! The roles that a process can have. Each composes the crates that do the work; nothing is decided here.

mod dag_processor;
mod guest;
mod local;
mod process;
mod scheduler;
mod standalone;
mod worker;

pub use dag_processor::run_dag_processor;
pub use process::{init_logging, shutdown_on_signals};
pub use scheduler::{open_store, run_scheduler};
pub use standalone::{Standalone, run_standalone};
pub use worker::run_worker;
