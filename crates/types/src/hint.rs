//! Queue hints: what a queue holds. A hint carries no code, no secret and no promise; the claim decides.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{QueueName, TiId, Timestamp};

/// Names one attempt of one task instance. Printed as `uuid:attempt`, the member of a queue's sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The task instance.
    pub ti: TiId,
    /// Which dispatch of it; rises by one each time it is queued, never reused.
    pub attempt: u32,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ti, self.attempt)
    }
}

impl FromStr for AttemptKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is not a queue hint (task-instance:attempt)");
        let (ti, attempt) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self { ti: TiId(Uuid::parse_str(ti).map_err(|_| bad())?), attempt: attempt.parse().map_err(|_| bad())? })
    }
}

/// A hint for a queue: "this attempt is ready". Lower scores are popped first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// The queue that it belongs to.
    pub queue: QueueName,
    /// The attempt.
    pub key: AttemptKey,
    /// Rank in the queue: see [`hint_score`].
    pub score: i64,
}

/// One step of priority outweighs this many milliseconds of waiting: priorities are as strict as Airflow's for anything
/// queued within a day, and ageing keeps old low-priority work from starving for ever.
pub const MILLIS_PER_PRIORITY: i64 = 86_400_000;

/// The rank of a hint: the enqueue time in milliseconds, less priority. Clamped to ±2^53, since Redis keeps scores as
/// doubles (`reliability.md` C).
pub fn hint_score(queued_at: Timestamp, priority_weight: i64) -> i64 {
    const LIMIT: i64 = 1 << 53;
    queued_at.as_millisecond().saturating_sub(priority_weight.saturating_mul(MILLIS_PER_PRIORITY)).clamp(-LIMIT, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_and_parses() {
        let key = AttemptKey { ti: TiId(Uuid::from_u128(7)), attempt: 3 };
        assert_eq!(key.to_string().parse::<AttemptKey>(), Ok(key));
        for bad in ["", "x:1", "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000007:-1"] {
            assert!(bad.parse::<AttemptKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn higher_priority_comes_first_then_age() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let later = Timestamp::from_second(1_800_000_001).unwrap();
        assert!(hint_score(later, 2) < hint_score(now, 1));
        assert!(hint_score(now, 1) < hint_score(later, 1));
        assert_eq!(hint_score(now, i64::MAX), -(1 << 53));
    }
}
