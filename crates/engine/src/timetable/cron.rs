//! Cron expressions as Airflow's croniter reads them, over wall-clock time as Airflow's `timetables/_cron.py` does.
//!
//! The field syntax is parsed here (croniter's 6-field form has its seconds last, ranges may wrap, `5/15` is allowed, the
//! last Friday is `L5`), which also lets an error name its field; the search itself is croner's, on civil datetimes.

use std::collections::BTreeSet;

use croner::parser::{CronParser, Seconds, Year};
use jiff::{
    civil::DateTime,
    tz::{TimeZone, TimeZoneDatabase},
};
use tradewind_types::Timestamp;

/// A parsed cron expression with its zone.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
    /// The hour field is open: the schedule follows real time over a change of the clocks, so that every hour fires.
    every_hour: bool,
}

/// Checks a cron expression.
///
/// # Errors
/// Names the field that is wrong.
pub fn validate_cron(cron: &str) -> Result<(), String> {
    Cron::parse(cron, "UTC").map(|_| ())
}

/// Checks an IANA zone name.
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
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("the time zone \"{name}\" is unknown; use an IANA name such as Europe/Paris or UTC"))
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
}

const FIELDS: [Field; 7] = [
    Field { name: "minute", least: 0, most: 59 },
    Field { name: "hour", least: 0, most: 23 },
    Field { name: "day of month", least: 1, most: 31 },
    Field { name: "month", least: 1, most: 12 },
    Field { name: "day of week", least: 0, most: 6 },
    Field { name: "second", least: 0, most: 59 },
    Field { name: "year", least: 1970, most: 2099 },
];
const HOUR: usize = 1;
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Parses an expression of 5 fields, 6 (seconds last) or 7 (then a year), or an alias such as `@daily`.
    ///
    /// # Errors
    /// Names the field or zone that is wrong.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let expanded = match lower.as_str() {
            "@midnight" | "@daily" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@quarterly" => "0 0 1 */3 *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        if !(5..=7).contains(&fields.len()) {
            return Err(format!(
                "the cron expression \"{text}\" has {} fields; use 5 (minute hour day-of-month month day-of-week), \
                 optionally followed by a second and a year",
                fields.len()
            ));
        }
        let mut parts = Vec::with_capacity(7);
        let mut every_hour = false;
        let mut nth = false;
        for (position, field) in fields.iter().enumerate() {
            let values = parse_field(position, field).map_err(|problem| {
                format!(
                    "the cron expression \"{text}\" has a bad {} field \"{field}\": {problem}",
                    FIELDS[position].name
                )
            })?;
            if position == HOUR {
                every_hour = values.is_full(position);
            }
            // Both day fields given means "or", so a list of all days is not the same as a star.
            let other = match position {
                DAY => Some(fields[WEEKDAY]),
                WEEKDAY => Some(fields[DAY]),
                _ => None,
            };
            let star = matches!(*field, "*" | "?")
                || (values.nth.is_empty() && values.is_full(position) && other.is_none_or(|other| other.contains('*')));
            nth |= !values.nth.is_empty();
            parts.push(if star { "*".to_owned() } else { values.text(position) });
        }
        if nth {
            // With an nth or last weekday croniter takes no notice of the day of month.
            parts[DAY] = "*".to_owned();
        }
        let second = if parts.len() > 5 { parts.remove(5) } else { "0".to_owned() };
        let canonical = format!("{second} {}", parts.join(" "));
        let pattern = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Optional)
            .build()
            .parse(&canonical)
            .map_err(|problem| format!("the cron expression \"{text}\" is bad: {problem}"))?;
        let cron = Self { pattern, zone: find_zone(zone)?, every_hour };
        // February 30th parses, but never comes.
        let some_time = Timestamp::from_second(1_704_067_200).unwrap_or(Timestamp::UNIX_EPOCH);
        if cron.after(some_time).is_none() && cron.before(some_time).is_none() {
            return Err(format!("the cron expression \"{text}\" never comes"));
        }
        Ok(cron)
    }

    /// The first tick after `at`.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = at.to_zoned(self.zone.clone());
        let naive = from.datetime();
        // Whole seconds down: a tick in this very second lies before `at` or is `at`.
        let tick = self.pattern.find_next_occurrence(&whole_second(naive), false).ok()?;
        if self.every_hour { at.checked_add(tick.duration_since(naive)).ok() } else { self.instant(tick) }
    }

    /// The last tick before `at`.
    pub fn before(&self, at: Timestamp) -> Option<Timestamp> {
        let from = at.to_zoned(self.zone.clone());
        let naive = from.datetime();
        let second = whole_second(naive);
        // Within a second, its beginning lies before.
        let inclusive = second != naive;
        let tick = self.pattern.find_previous_occurrence(&second, inclusive).ok()?;
        if self.every_hour { at.checked_sub(naive.duration_since(tick)).ok() } else { self.instant(tick) }
    }

    /// Airflow's choice (`fold=1`): of an ambiguous time the later instant; a time in a gap moves on by the gap.
    fn instant(&self, at: DateTime) -> Option<Timestamp> {
        Some(self.zone.to_ambiguous_zoned(at).later().ok()?.timestamp())
    }
}

fn whole_second(at: DateTime) -> DateTime {
    at.with().subsec_nanosecond(0).build().unwrap_or(at)
}

/// The values of a field.
#[derive(Default)]
struct Values {
    plain: BTreeSet<u32>,
    /// The last day of the month.
    last: bool,
    /// The nth (1..5) or last (6) such weekday of the month.
    nth: BTreeSet<(u32, u32)>,
}

impl Values {
    fn is_full(&self, position: usize) -> bool {
        let field = &FIELDS[position];
        self.plain.len() as u32 == field.most - field.least + 1
    }

    /// The field as croner reads it.
    fn text(&self, position: usize) -> String {
        // croniter looks at nothing else once a day is an nth or last one.
        let plain = self.nth.is_empty().then_some(&self.plain);
        let mut parts: Vec<String> = plain.into_iter().flatten().map(ToString::to_string).collect();
        if self.last {
            parts.push("L".to_owned());
        }
        debug_assert!(position == WEEKDAY || self.nth.is_empty());
        parts.extend(self.nth.iter().map(|(day, nth)| match nth {
            6 => format!("{day}L"),
            nth => format!("{day}#{nth}"),
        }));
        parts.join(",")
    }
}

fn parse_field(position: usize, text: &str) -> Result<Values, String> {
    let mut values = Values::default();
    let field = &FIELDS[position];
    if text.contains('?') {
        if text != "?" || !matches!(position, DAY | WEEKDAY) {
            return Err("\"?\" stands alone, in a day field".to_owned());
        }
        values.plain.extend(field.least..=field.most);
        return Ok(values);
    }
    for item in text.split(',') {
        parse_item(position, item, &mut values)?;
    }
    let mixed = values.plain.iter().any(|day| !values.nth.iter().any(|(other, _)| other == day));
    if !values.nth.is_empty() && mixed && !values.is_full(position) {
        return Err("days and nth days (such as 5#2 or L5) do not mix".to_owned());
    }
    Ok(values)
}

fn parse_item(position: usize, item: &str, values: &mut Values) -> Result<(), String> {
    let field = &FIELDS[position];
    if item.is_empty() {
        return Err("it has an empty item".to_owned());
    }
    if position == DAY && item == "l" {
        values.last = true;
        return Ok(());
    }
    if position == WEEKDAY {
        if let Some((days, nth)) = item.split_once('#') {
            let nth: u32 = nth
                .parse()
                .ok()
                .filter(|nth| (1..=5).contains(nth))
                .ok_or_else(|| format!("\"#{nth}\" is not 1 to 5"))?;
            let days = parse_range(position, days)?;
            values.nth.extend(days.into_iter().map(|day| (day, nth)));
            return Ok(());
        }
        if let Some(day) = item.strip_prefix('l')
            && !day.is_empty()
        {
            values.nth.insert((value(position, day)?, 6));
            return Ok(());
        }
    }
    let (range, step) = match item.split_once('/') {
        None => (item, None),
        Some((range, step)) => {
            let step: u32 = step
                .parse()
                .ok()
                .filter(|&step| step > 0)
                .ok_or_else(|| format!("the step \"{step}\" is no whole number above 0"))?;
            (range, Some(step))
        }
    };
    let found = match (range, step) {
        ("*", step) => stepped(field.least, field.most, step.unwrap_or(1), field),
        // From here to the end.
        (start, Some(step)) if !start.contains('-') => stepped(value(position, start)?, field.most, step, field),
        (range, step) => {
            let (low, high) = bounds(position, range)?;
            match (low, high, step) {
                (only, None, _) => vec![only],
                (low, Some(high), step) => stepped(low, high, step.unwrap_or(1), field),
            }
        }
    };
    values.plain.extend(found);
    Ok(())
}

fn parse_range(position: usize, text: &str) -> Result<Vec<u32>, String> {
    Ok(match bounds(position, text)? {
        (only, None) => vec![only],
        (low, Some(high)) => stepped(low, high, 1, &FIELDS[position]),
    })
}

fn bounds(position: usize, text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once('-') {
        None => Ok((value(position, text)?, None)),
        Some((low, high)) => {
            let high = if position == DAY && high == "l" { "31" } else { high };
            Ok((value(position, low)?, Some(value(position, high)?)))
        }
    }
}

/// croniter's ranges: backwards they wrap, and from a value to itself they mean the whole field.
fn stepped(low: u32, high: u32, step: u32, field: &Field) -> Vec<u32> {
    let by = step as usize;
    match low.cmp(&high) {
        std::cmp::Ordering::Less => (low..=high).step_by(by).collect(),
        std::cmp::Ordering::Equal => (field.least..=field.most).step_by(by).collect(),
        std::cmp::Ordering::Greater => {
            let mut found: Vec<u32> = (low..=field.most).step_by(by).collect();
            let length = field.most - field.least + 1;
            let skip = found.last().map_or(0, |&last| {
                let passed = field.most - last;
                let position = last - field.least;
                if position + step > length && passed < step { step - passed } else { 0 }
            });
            found.extend((field.least + skip..=high).step_by(by));
            found
        }
    }
}

fn value(position: usize, text: &str) -> Result<u32, String> {
    let field = &FIELDS[position];
    let name = |names: &[&str]| names.iter().position(|name| *name == text).and_then(|found| u32::try_from(found).ok());
    let named = match position {
        MONTH => name(&MONTHS).map(|month| month + 1),
        WEEKDAY => name(&WEEKDAYS),
        _ => None,
    };
    let number = match named {
        Some(number) => number,
        None => text.parse::<u32>().map_err(|_| format!("\"{text}\" is no {}", field.name))?,
    };
    // Sunday is 0 and 7.
    let number = if position == WEEKDAY && number == 7 { 0 } else { number };
    if (field.least..=field.most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{number} is not between {} and {}", field.least, field.most))
    }
}
