//! Cron expressions over wall-clock time, as Airflow's `timetables/_cron.py` does it on top of croniter.

use jiff::{
    Span, ToSpan,
    civil::DateTime,
    tz::{Offset, TimeZone, TimeZoneDatabase},
};
use tradewind_types::Timestamp;

use super::pattern::Pattern;

/// What becomes of ticks when the clocks change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dst {
    /// As Airflow: a skipped time moves on by what is skipped, a repeated one counts the second time. When an hour's ticks
    /// thereby pass others, they are lost, or come again as the start of an interval.
    #[default]
    Airflow,
    /// The same instants, but always the next one or the last one in real time: no tick is lost, intervals have no gaps. A
    /// schedule with an open hour field ticks whenever its wall-clock time comes, twice if that comes twice.
    Strict,
}

/// A parsed cron expression with its zone.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: Pattern,
    zone: TimeZone,
    dst: Dst,
}

/// Checks a cron expression.
///
/// # Errors
/// Names the field that is wrong.
pub fn validate_cron(cron: &str) -> Result<(), String> {
    Cron::parse(cron, "UTC").map(|_| ())
}

/// Checks a time zone: an IANA name, or a fixed offset such as `+05:30`.
///
/// # Errors
/// Says that it is unknown.
pub fn validate_zone(zone: &str) -> Result<(), String> {
    find_zone(zone).map(|_| ())
}

fn find_zone(name: &str) -> Result<TimeZone, String> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = fixed_offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("the time zone \"{name}\" is unknown; use an IANA name such as Europe/Paris or UTC"))
}

/// `+05:30`, `-03:00:15`.
fn fixed_offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut seconds = 0;
    let mut parts = 0;
    for (part, factor) in text[1..].split(':').zip([3600, 60, 1, 0]) {
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) || factor == 0 {
            return None;
        }
        let number: i32 = part.parse().ok()?;
        seconds += number * factor;
        parts += 1;
    }
    (parts >= 2).then_some(())?;
    Offset::from_seconds(sign * seconds).ok()
}

impl Cron {
    /// Parses an expression of 5 fields, 6 (seconds last) or 7 (then a year), or an alias such as `@daily`.
    ///
    /// # Errors
    /// Names the field or zone that is wrong, or says that no day fits.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let cron = Self { pattern: Pattern::parse(text)?, zone: find_zone(zone)?, dst: Dst::Airflow };
        // February 30th parses, but never comes. The search looks 50 years back and ahead.
        let years = [1990i64, 2024, 2070].map(|year| Timestamp::from_second((year - 1970) * 31_556_952));
        let comes = |at: Timestamp| cron.after(at).is_some() || cron.before(at).is_some();
        if years.into_iter().flatten().any(comes) {
            Ok(cron)
        } else {
            Err(format!("the cron expression \"{text}\" never comes: no date fits its days, months and years"))
        }
    }

    /// With another rule for changes of the clocks.
    #[must_use]
    pub const fn with_dst(mut self, dst: Dst) -> Self {
        self.dst = dst;
        self
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first tick after `at`.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        match (self.dst, self.pattern.every_hour) {
            (Dst::Strict, true) => self.after_real(at),
            (Dst::Strict, false) => self.after_strict(at),
            (Dst::Airflow, every_hour) => {
                let naive = self.zone.to_datetime(at);
                let tick = self.pattern.at_or_after(second_after(naive)?)?;
                // Every hour fires: the step on the clock is one in real time.
                if every_hour { at.checked_add(tick.duration_since(naive)).ok() } else { self.instant(tick) }
            }
        }
    }

    /// The last tick before `at`.
    pub fn before(&self, at: Timestamp) -> Option<Timestamp> {
        match (self.dst, self.pattern.every_hour) {
            (Dst::Strict, true) => self.before_real(at),
            (Dst::Strict, false) => self.before_strict(at),
            (Dst::Airflow, every_hour) => {
                let naive = self.zone.to_datetime(at);
                let tick = self.pattern.at_or_before(second_before(naive)?)?;
                if every_hour { at.checked_sub(naive.duration_since(tick)).ok() } else { self.instant(tick) }
            }
        }
    }

    /// Airflow's choice (`fold=1`): of an ambiguous time the later instant; a time in a gap moves on by the gap.
    fn instant(&self, at: DateTime) -> Option<Timestamp> {
        Some(self.zone.to_ambiguous_zoned(at).later().ok()?.timestamp())
    }

    /// The least of all ticks' instants after `at`. Only by the width of a change nearby can they be out of order.
    fn after_strict(&self, at: Timestamp) -> Option<Timestamp> {
        let naive = self.zone.to_datetime(at);
        let mut from = naive.checked_sub(self.change_near(at)).ok()?;
        let mut best: Option<Timestamp> = None;
        let mut until = DateTime::MAX;
        loop {
            let found = self.pattern.at_or_after(from).filter(|&tick| tick <= until);
            let Some(tick) = found else { return best };
            let instant = self.instant(tick)?;
            if instant > at {
                if best.is_none() {
                    until = tick.checked_add(self.change_near(instant)).ok()?;
                }
                best = Some(best.map_or(instant, |best| best.min(instant)));
            }
            from = second_after(tick)?;
        }
    }

    fn before_strict(&self, at: Timestamp) -> Option<Timestamp> {
        let mut from = self.zone.to_datetime(at);
        let mut best: Option<Timestamp> = None;
        let mut until = DateTime::MIN;
        loop {
            let found = self.pattern.at_or_before(from).filter(|&tick| tick >= until);
            let Some(tick) = found else { return best };
            let instant = self.instant(tick)?;
            if instant < at {
                if best.is_none() {
                    until = tick.checked_sub(self.change_near(instant)).ok()?;
                }
                best = Some(best.map_or(instant, |best| best.max(instant)));
            }
            from = second_before(tick)?;
        }
    }

    /// By how much the clocks change within two days of an instant.
    fn change_near(&self, at: Timestamp) -> Span {
        let days = 48.hours();
        let (Ok(first), Ok(last)) = (at.checked_sub(days), at.checked_add(days)) else { return 0.seconds() };
        let mut offset = self.zone.to_offset(first).seconds();
        let mut most = 0;
        for change in self.zone.following(first).take_while(|change| change.timestamp() <= last) {
            most = most.max((change.offset().seconds() - offset).abs());
            offset = change.offset().seconds();
        }
        i64::from(most).seconds()
    }

    /// The next instant after `at` whose wall-clock time fits.
    fn after_real(&self, at: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(at);
        let mut from = second_after(offset.to_datetime(at))?;
        for change in self.zone.following(at) {
            let tick = self.pattern.at_or_after(from)?;
            let instant = offset.to_timestamp(tick).ok()?;
            if instant < change.timestamp() {
                return Some(instant);
            }
            offset = change.offset();
            from = offset.to_datetime(change.timestamp());
        }
        offset.to_timestamp(self.pattern.at_or_after(from)?).ok()
    }

    fn before_real(&self, at: Timestamp) -> Option<Timestamp> {
        let mut until = at;
        for change in self.zone.preceding(at) {
            let offset = change.offset();
            let tick = self.pattern.at_or_before(second_before(offset.to_datetime(until))?)?;
            let instant = offset.to_timestamp(tick).ok()?;
            if instant >= change.timestamp() {
                return Some(instant);
            }
            until = change.timestamp();
        }
        let offset = self.zone.to_offset(until.checked_sub(1.second()).ok()?);
        offset.to_timestamp(self.pattern.at_or_before(second_before(offset.to_datetime(until))?)?).ok()
    }
}

/// The first whole second after `at`.
fn second_after(at: DateTime) -> Option<DateTime> {
    whole_second(at).checked_add(1.second()).ok()
}

/// The last whole second before `at`: the beginning of its own second, unless `at` is that.
fn second_before(at: DateTime) -> Option<DateTime> {
    let second = whole_second(at);
    if second == at { second.checked_sub(1.second()).ok() } else { Some(second) }
}

fn whole_second(at: DateTime) -> DateTime {
    at.date().to_datetime(jiff::civil::time(at.hour(), at.minute(), at.second(), 0))
}
