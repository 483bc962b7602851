//! The clock as a port, so that tests own time.

use tradewind_types::{Timestamp, truncate_micros};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now, to the microsecond.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        truncate_micros(Timestamp::now())
    }
}
