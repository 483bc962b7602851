//! The ports between the scheduler and the outside: store, queue, logs and clock, with their errors. The conformance
//! suites that every adapter passes are in [`conformance`] (feature `conformance`).

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod logs;
mod page;
mod queue;
mod store;

pub use clock::*;
pub use error::*;
pub use logs::*;
pub use page::*;
pub use queue::*;
pub use store::*;
