//! Steps of a fixed length or of calendar months.

use jiff::{SignedDuration, ToSpan, tz::TimeZone};
use tradewind_types::{Delta, Timestamp};

/// A checked [`Delta`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaStep(Delta);

impl DeltaStep {
    /// A step between runs; must move forward.
    pub(crate) fn step(delta: Delta) -> Result<Self, String> {
        let forward = delta.months >= 0 && delta.micros >= 0;
        if !forward || (delta.months == 0 && delta.micros == 0) {
            return Err("the schedule's timedelta must be longer than zero".to_owned());
        }
        Ok(Self(delta))
    }

    /// The length of a data interval; may be zero.
    pub(crate) fn span(delta: Delta) -> Result<Self, String> {
        if delta.months < 0 || delta.micros < 0 {
            return Err("the schedule's data interval must not be negative".to_owned());
        }
        Ok(Self(delta))
    }

    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        self.shift(at, 1)
    }

    pub(crate) fn before(&self, at: Timestamp) -> Option<Timestamp> {
        self.shift(at, -1)
    }

    fn shift(&self, at: Timestamp, times: i64) -> Option<Timestamp> {
        let months = i64::from(self.0.months).checked_mul(times)?;
        let moved =
            if months == 0 { at } else { at.to_zoned(TimeZone::UTC).checked_add(months.months()).ok()?.timestamp() };
        let micros = self.0.micros.checked_mul(times)?;
        moved.checked_add(SignedDuration::from_micros(micros)).ok()
    }

    /// Start of the latest complete interval: on the epoch's grid for a fixed length, else in steps from `earliest`.
    pub(crate) fn latest_complete(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp> {
        const MONTH_MICROS: i64 = 30 * 86_400 * 1_000_000;
        if self.0.months > 0
            && let Some(earliest) = earliest
        {
            // Guess from the length of a month, then step: at most a few steps off per century.
            let length = i64::from(self.0.months).saturating_mul(MONTH_MICROS).saturating_add(self.0.micros);
            let since = now.as_microsecond().saturating_sub(earliest.as_microsecond());
            let mut steps = (since / length.saturating_mul(11) * 10).max(0);
            while self.shift(earliest, steps + 2)? <= now {
                steps += 1;
            }
            return self.shift(earliest, steps);
        }
        let length = i64::from(self.0.months).saturating_mul(MONTH_MICROS).saturating_add(self.0.micros);
        let micros = now.as_microsecond();
        let rounded = Timestamp::from_microsecond(micros - micros.rem_euclid(length)).ok()?;
        self.before(rounded)
    }
}
