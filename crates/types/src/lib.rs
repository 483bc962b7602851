//! The words of Tradewind: ids, states, the DAG model, rows and error codes.
//!
//! This crate owns data and its small pure rules (parsing, display, ordering). It must never do I/O, read a clock or
//! draw a random number; every other crate depends on it.

mod asset;
mod backfill;
mod callback;
mod dag;
mod deferral;
mod environment;
mod error;
mod expand;
mod explain;
mod hint;
mod ids;
mod native;
mod nearest;
mod report;
mod resource;
mod rows;
mod schedule;
mod sdk;
mod state;
mod write;

pub use asset::*;
pub use backfill::*;
pub use callback::*;
pub use dag::*;
pub use deferral::*;
pub use environment::*;
pub use error::*;
pub use expand::*;
pub use explain::*;
pub use hint::*;
pub use ids::*;
pub use native::*;
pub use nearest::*;
pub use report::*;
pub use resource::*;
pub use rows::*;
pub use schedule::*;
pub use sdk::*;
pub use state::*;
pub use write::*;

/// An instant in UTC. Rows keep microseconds; [`truncate_micros`] makes an instant survive a round trip to a store.
pub use jiff::Timestamp;

/// Drops what is finer than a microsecond, so that an instant compares equal after it was stored and read back.
pub fn truncate_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
