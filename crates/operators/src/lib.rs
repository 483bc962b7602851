//! The native operators: what runs on a worker without Python, and the templates of their fields.
//!
//! This crate owns how each operator behaves. It must never talk to the scheduler itself (all it needs comes through
//! [`OperatorIo`]), never decide about retries, and never leave a process behind when an operator is stopped.

mod bash;
mod context;
mod expand;
mod file_sensor;
mod http;
mod io;
mod lines;
mod noop;
mod operator;
mod process;
mod sensor;
mod sql;
mod stop;
mod template;
mod time_sensors;

pub use context::{DagFacts, TaskContext};
pub use io::{IoError, LogLevel, OperatorIo, XComQuery};
pub use operator::{Finished, Operator, OperatorError, OperatorResult, run};
pub use process::kill_marked;
pub use stop::{StopSignal, Stopper};
pub use template::Renderer;
