//! The search for the next or last civil time that a cron expression names.

use jiff::civil::{Date, DateTime, Time, date, time};

use super::fields::{self, LAST, Values};

/// croniter gives up after so many years; so an expression that names no day (February 30th) ends the search.
const YEARS: i16 = 50;
const FIRST_YEAR: i16 = 1970;

/// An expression, ready for searching.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u16,
    /// From [`FIRST_YEAR`] on; none when any year goes.
    years: Option<[u64; 3]>,
    days: Days,
    /// The hour field is open.
    pub(super) every_hour: bool,
}

/// Which days of a month.
#[derive(Clone, Debug)]
enum Days {
    /// Those that one rule names.
    One(Rule),
    /// Those of the day of month and those of the day of week.
    Either(Rule, Rule),
    /// As [`Days::Either`], where croniter fails unless both can be found: `#`, `L5` and `W` are in force in both.
    Both(Rule, Rule),
}

/// Days by the day of month and by the day of week.
#[derive(Clone, Debug, Default)]
struct Rule {
    /// Bits 1 to 31; none when any day goes.
    days: Option<u32>,
    /// The last day goes as well.
    last: bool,
    /// Instead of `days`: the weekday nearest to this day.
    nearest: Option<i8>,
    /// Bits 0 (Sunday) to 6; none when any goes.
    weekdays: Option<u8>,
    /// Instead of `weekdays`: by weekday, which of the month.
    nth: Option<[u8; 7]>,
}

impl Rule {
    /// The days of a month as bits 1 to 31.
    fn in_month(&self, year: i16, month: i8) -> u32 {
        let Ok(first) = Date::new(year, month, 1) else { return 0 };
        let length = first.days_in_month();
        let all = ((1u64 << (length + 1)) - 2) as u32;
        let starts = first.weekday().to_sunday_zero_offset();
        let mut found = all;
        if let Some(day) = self.nearest {
            found &= 1 << nearest(day.min(length), starts, length);
        } else if let Some(days) = self.days {
            found &= days | (u32::from(self.last) << length);
        }
        if let Some(nth) = &self.nth {
            found &= nth_days(nth, starts, length);
        } else if let Some(weekdays) = self.weekdays {
            found &= every_week(weekdays, starts);
        }
        found
    }
}

/// The days of a month that are such weekdays, as bits 1 on.
fn every_week(weekdays: u8, starts: i8) -> u32 {
    // Bit 0 is the weekday of the first of the month.
    let doubled = u64::from(weekdays) | (u64::from(weekdays) << 7);
    let week = (doubled >> starts) & 0x7f;
    ((week | week << 7 | week << 14 | week << 21 | week << 28) << 1) as u32
}

fn nth_days(nth: &[u8; 7], starts: i8, length: i8) -> u32 {
    let mut found = 0;
    for (weekday, &bits) in (0i8..).zip(nth) {
        let first = (weekday - starts).rem_euclid(7) + 1;
        for number in 1..=5 {
            let day = first + 7 * (number - 1);
            let is_last = bits & (1 << LAST) != 0 && day <= length && day + 7 > length;
            if (bits & (1 << number) != 0 && day <= length) || is_last {
                found |= 1 << day;
            }
        }
    }
    found
}

/// The day from Monday to Friday that is nearest to a day, within its month.
fn nearest(day: i8, starts: i8, length: i8) -> i8 {
    match (starts + day - 1) % 7 {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < length => day + 1,
        0 => day - 2,
        _ => day,
    }
}

impl Pattern {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields = fields::parse(text)?;
        let bits = |values: &Values, least: u32| {
            if values.star {
                return u64::MAX;
            }
            values.plain.iter().fold(0u64, |bits, &value| bits | 1 << (value - least))
        };
        let years = fields.get(6).filter(|years| !years.star).map(|years| {
            let mut bits = [0u64; 3];
            for year in years.plain.iter().map(|&year| year as usize - FIRST_YEAR as usize) {
                bits[year / 64] |= 1 << (year % 64);
            }
            bits
        });
        Ok(Self {
            seconds: fields.get(5).map_or(1, |seconds| bits(seconds, 0) & ((1 << 60) - 1)),
            minutes: bits(&fields[0], 0) & ((1 << 60) - 1),
            hours: bits(&fields[1], 0) & ((1 << 24) - 1),
            months: (bits(&fields[3], 0) & 0x1ffe) as u16,
            years,
            days: Days::of(&fields[2], &fields[4]),
            every_hour: fields[1].only_star,
        })
    }

    /// The first tick at `from`, a whole second, or after it.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        self.search(|rules| {
            if self.matches(rules, from.date())
                && let Some(time) = self.time_from(from.time())
            {
                return Some(from.date().to_datetime(time));
            }
            let first = time(
                self.hours.trailing_zeros() as i8,
                self.minutes.trailing_zeros() as i8,
                self.seconds.trailing_zeros() as i8,
                0,
            );
            Some(self.date_after(rules, from.date())?.to_datetime(first))
        })
        .map(|(one, other)| other.map_or(one, |other| one.min(other)))
    }

    /// The last tick at `from`, a whole second, or before it.
    pub(super) fn at_or_before(&self, from: DateTime) -> Option<DateTime> {
        self.search(|rules| {
            if self.matches(rules, from.date())
                && let Some(time) = self.time_until(from.time())
            {
                return Some(from.date().to_datetime(time));
            }
            let last = time(highest(self.hours), highest(self.minutes), highest(self.seconds), 0);
            Some(self.date_before(rules, from.date())?.to_datetime(last))
        })
        .map(|(one, other)| other.map_or(one, |other| one.max(other)))
    }

    /// Runs a search once, or for each of two rules that must both be met.
    fn search(
        &self,
        find: impl Fn(&dyn Fn(i16, i8) -> u32) -> Option<DateTime>,
    ) -> Option<(DateTime, Option<DateTime>)> {
        match &self.days {
            Days::One(rule) => Some((find(&|year, month| rule.in_month(year, month))?, None)),
            Days::Either(one, other) => {
                let both = |year, month| one.in_month(year, month) | other.in_month(year, month);
                Some((find(&both)?, None))
            }
            Days::Both(one, other) => {
                let one = find(&|year, month| one.in_month(year, month))?;
                Some((one, Some(find(&|year, month| other.in_month(year, month))?)))
            }
        }
    }

    fn has_year(&self, year: i16) -> bool {
        self.years.is_none_or(|years| {
            let since = usize::try_from(year - FIRST_YEAR).unwrap_or(usize::MAX);
            years.get(since / 64).is_some_and(|bits| bits & (1 << (since % 64)) != 0)
        })
    }

    fn has_month(&self, month: i8) -> bool {
        self.months & (1 << month) != 0
    }

    fn matches(&self, days: &dyn Fn(i16, i8) -> u32, at: Date) -> bool {
        self.has_year(at.year()) && self.has_month(at.month()) && days(at.year(), at.month()) & (1 << at.day()) != 0
    }

    fn date_after(&self, days: &dyn Fn(i16, i8) -> u32, at: Date) -> Option<Date> {
        let (mut year, mut month) = (at.year(), at.month());
        let mut rest = !0u32 << 1 << at.day();
        loop {
            if self.has_year(year) && self.has_month(month) {
                let found = days(year, month) & rest;
                if found != 0 {
                    return Some(date(year, month, found.trailing_zeros() as i8));
                }
            }
            rest = !0;
            month += 1;
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            if year > at.year() + YEARS || year > 9999 {
                return None;
            }
        }
    }

    fn date_before(&self, days: &dyn Fn(i16, i8) -> u32, at: Date) -> Option<Date> {
        let (mut year, mut month) = (at.year(), at.month());
        let mut rest = (1u32 << at.day()) - 1;
        loop {
            if self.has_year(year) && self.has_month(month) {
                let found = days(year, month) & rest;
                if found != 0 {
                    return Some(date(year, month, highest(u64::from(found))));
                }
            }
            rest = !0;
            month -= 1;
            if month < 1 {
                (year, month) = (year - 1, 12);
            }
            if year < at.year() - YEARS || year < 1 {
                return None;
            }
        }
    }

    fn time_from(&self, at: Time) -> Option<Time> {
        if has(self.hours, at.hour()) {
            if has(self.minutes, at.minute())
                && let Some(second) = lowest_from(self.seconds, at.second())
            {
                return Some(time(at.hour(), at.minute(), second, 0));
            }
            if let Some(minute) = lowest_from(self.minutes, at.minute() + 1) {
                return Some(time(at.hour(), minute, self.seconds.trailing_zeros() as i8, 0));
            }
        }
        let hour = lowest_from(self.hours, at.hour() + 1)?;
        Some(time(hour, self.minutes.trailing_zeros() as i8, self.seconds.trailing_zeros() as i8, 0))
    }

    fn time_until(&self, at: Time) -> Option<Time> {
        if has(self.hours, at.hour()) {
            if has(self.minutes, at.minute())
                && let Some(second) = highest_to(self.seconds, at.second())
            {
                return Some(time(at.hour(), at.minute(), second, 0));
            }
            if let Some(minute) = highest_to(self.minutes, at.minute() - 1) {
                return Some(time(at.hour(), minute, highest(self.seconds), 0));
            }
        }
        let hour = highest_to(self.hours, at.hour() - 1)?;
        Some(time(hour, highest(self.minutes), highest(self.seconds), 0))
    }
}

impl Days {
    fn of(days: &Values, weekdays: &Values) -> Self {
        let bits = |values: &Values| values.plain.iter().fold(0u32, |bits, &value| bits | 1 << value);
        let by_month = Rule {
            days: (!days.star).then(|| bits(days)),
            last: days.last,
            nearest: days.nearest.map(|day| day as i8),
            ..Rule::default()
        };
        let by_week = Rule {
            weekdays: (!weekdays.star).then(|| bits(weekdays) as u8),
            nth: weekdays.has_nth().then_some(weekdays.nth),
            ..Rule::default()
        };
        if days.star || weekdays.star {
            return Self::One(Rule { weekdays: by_week.weekdays, nth: by_week.nth, ..by_month });
        }
        // `W` and `#` stay in force on either side.
        let one = Rule { nth: by_week.nth, ..by_month.clone() };
        let other = Rule { nearest: by_month.nearest, ..by_week };
        if one.nth.is_some() || other.nearest.is_some() { Self::Both(one, other) } else { Self::Either(one, other) }
    }
}

const fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value) != 0
}

const fn highest(bits: u64) -> i8 {
    (63 - bits.leading_zeros()) as i8
}

fn lowest_from(bits: u64, from: i8) -> Option<i8> {
    let rest = bits & (!0 << from);
    (rest != 0).then(|| rest.trailing_zeros() as i8)
}

fn highest_to(bits: u64, to: i8) -> Option<i8> {
    if to < 0 {
        return None;
    }
    let rest = bits & ((2 << to) - 1);
    (rest != 0).then(|| highest(rest))
}
