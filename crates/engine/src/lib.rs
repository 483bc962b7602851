//! The pure engine: what happens to DAG runs and task instances, with no I/O, no clock and no randomness.

mod event;

pub use event::*;
