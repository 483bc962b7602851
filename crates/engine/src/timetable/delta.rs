//! Steps of a fixed length, of calendar months, and of whatever else a `relativedelta` says.

use jiff::{
    SignedDuration,
    civil::{Date, DateTime},
    tz::Offset,
};
use tradewind_types::{Delta, Replace, Timestamp};

/// A checked [`Delta`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaStep(Delta);

/// Stepping from the start date to now is bounded, whatever the step.
const MOST_STEPS: usize = 1_000_000;

impl DeltaStep {
    /// No step: the data interval of a point in time.
    pub(crate) const ZERO: Self = Self(Delta::seconds(0));

    /// A step between runs; must move forward.
    pub(crate) fn step(delta: Delta) -> Result<Self, String> {
        check_fields(&delta.replace)?;
        let step = Self(delta);
        let adds = delta.months >= 0 && delta.micros >= 0 && delta.replace == Replace::default();
        if adds && (delta.months != 0 || delta.micros != 0) {
            return Ok(step);
        }
        if adds || !step.moves_forward() {
            return Err(
                "the schedule's timedelta must be longer than zero: each step has to lead to a later date, from \
                        whatever date it starts"
                    .to_owned(),
            );
        }
        Ok(step)
    }

    /// The length of a data interval; may be zero.
    pub(crate) fn span(delta: Delta) -> Result<Self, String> {
        check_fields(&delta.replace)?;
        let shrinks = delta.months <= 0 && delta.micros <= 0 && (delta.months, delta.micros) != (0, 0);
        if delta.replace == Replace::default() && shrinks {
            return Err("the schedule's data interval must not be negative".to_owned());
        }
        Ok(Self(delta))
    }

    /// Whether it leads on from many dates, and from where it led to. What sets fields may stand still on some.
    fn moves_forward(&self) -> bool {
        const DAY: i64 = 86_400;
        // From 2023 on through a leap year, at different times of the day.
        (0..1500i64).step_by(7).all(|day| {
            let start = Timestamp::from_second(1_672_531_200 + day * DAY + day * 977 % DAY);
            let mut at = start.unwrap_or(Timestamp::UNIX_EPOCH);
            (0..4).all(|_| {
                let next = self.after(at).filter(|&next| next > at);
                next.is_some_and(|next| {
                    at = next;
                    true
                })
            })
        })
    }

    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        self.shift(at, 1)
    }

    pub(crate) fn before(&self, at: Timestamp) -> Option<Timestamp> {
        self.shift(at, -1)
    }

    /// dateutil's order: set fields, months, the month's last day at most, what has a fixed length, the weekday. Backwards
    /// only what is added changes its sign.
    fn shift(&self, at: Timestamp, sign: i32) -> Option<Timestamp> {
        let Delta { months, micros, replace } = self.0;
        let length = SignedDuration::from_micros(micros.checked_mul(i64::from(sign))?);
        let plain = replace == Replace::default();
        if plain && months == 0 {
            return at.checked_add(length).ok();
        }
        let days = |count: i64| SignedDuration::from_hours(24 * count);
        let target = replaced(Offset::UTC.to_datetime(at), months.checked_mul(sign)?, &replace)?;
        let leaps = target.month() > 2 && target.date().in_leap_year();
        let leapdays = if leaps { i64::from(replace.leapdays) } else { 0 };
        let mut moved = target.checked_add(length).ok()?.checked_add(days(leapdays)).ok()?;
        if let Some((weekday, nth)) = replace.weekday {
            moved = moved.checked_add(days(to_weekday(moved.date(), weekday, nth))).ok()?;
        }
        Offset::UTC.to_timestamp(moved).ok()
    }

    /// Start of the latest complete interval: in steps from `earliest` (or now) for months, else on the epoch's grid.
    pub(crate) fn latest_complete(&self, now: Timestamp, earliest: Option<Timestamp>) -> Option<Timestamp> {
        let boundary =
            if self.0.months == 0 { self.on_grid(now)? } else { self.stepped(now, earliest.unwrap_or(now))? };
        self.before(boundary)
    }

    /// The last step from `anchor` that is not after `now`. Each step starts where the one before ended: the 31st becomes
    /// the 28th in February and stays it.
    fn stepped(&self, now: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        let mut boundary = anchor;
        for _ in 0..MOST_STEPS {
            let next = self.after(boundary)?;
            if next > now {
                return Some(boundary);
            }
            if next <= boundary {
                return None;
            }
            boundary = next;
        }
        None
    }

    /// `now`, rounded down to a multiple of the step, as Airflow: in floating-point seconds.
    fn on_grid(&self, now: Timestamp) -> Option<Timestamp> {
        if self.0.micros == 0 {
            return None;
        }
        let (now, step) = (now.as_microsecond() as f64 / 1e6, self.0.micros as f64 / 1e6);
        let mut rest = now % step;
        if rest != 0.0 && (rest < 0.0) != (step < 0.0) {
            rest += step;
        }
        let rounded = now - rest;
        let whole = rounded.trunc();
        let micros = ((rounded - whole) * 1e6).round_ties_even();
        Timestamp::from_microsecond(whole as i64 * 1_000_000 + micros as i64).ok()
    }
}

/// The date with set fields and months added, its day no later than the month's last.
fn replaced(at: DateTime, months: i32, replace: &Replace) -> Option<DateTime> {
    let year = i64::from(replace.year.unwrap_or(at.year()));
    let month = i64::from(replace.month.unwrap_or(at.month())) - 1 + i64::from(months);
    let year = i16::try_from(year + month.div_euclid(12)).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    let first = Date::new(year, month, 1).ok()?;
    let date = first.with().day(replace.day.unwrap_or(at.day()).min(first.days_in_month())).build().ok()?;
    let time = at
        .time()
        .with()
        .hour(replace.hour.unwrap_or(at.hour()))
        .minute(replace.minute.unwrap_or(at.minute()))
        .second(replace.second.unwrap_or(at.second()));
    let time = match replace.microsecond {
        Some(micros) => time.subsec_nanosecond(micros.checked_mul(1000)?),
        None => time,
    };
    Some(date.to_datetime(time.build().ok()?))
}

/// Days from a date to the nth such weekday at or after it, or at or before it when `nth` is negative.
fn to_weekday(at: Date, weekday: i8, nth: i8) -> i64 {
    let (from, to, weeks) =
        (i64::from(at.weekday().to_monday_zero_offset()), i64::from(weekday), i64::from(nth.unsigned_abs().max(1)) - 1);
    if nth >= 0 { weeks * 7 + (to - from).rem_euclid(7) } else { -(weeks * 7 + (from - to).rem_euclid(7)) }
}

fn check_fields(replace: &Replace) -> Result<(), String> {
    let range = |name: &str, value: Option<i32>, least: i32, most: i32| match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(format!("the schedule's relativedelta sets {name}={value}, which is not between {least} and {most}"))
        }
        _ => Ok(()),
    };
    range("year", replace.year.map(i32::from), 1, 9999)?;
    range("month", replace.month.map(i32::from), 1, 12)?;
    range("day", replace.day.map(i32::from), 1, 31)?;
    range("hour", replace.hour.map(i32::from), 0, 23)?;
    range("minute", replace.minute.map(i32::from), 0, 59)?;
    range("second", replace.second.map(i32::from), 0, 59)?;
    range("microsecond", replace.microsecond, 0, 999_999)?;
    range("weekday", replace.weekday.map(|(weekday, _)| i32::from(weekday)), 0, 6)
}
