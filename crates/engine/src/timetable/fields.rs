//! The syntax of a cron expression, as Airflow's croniter reads it: a sixth field is the second and comes last, a seventh
//! the year, ranges may wrap, `5/15` and `15W` and `L` and `L5` and `5#2` are allowed.

use std::collections::BTreeSet;

/// What a field may hold.
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
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The place of "the last such weekday" among the ordinals 1 to 5.
pub(super) const LAST: u8 = 6;

/// The values of a field.
#[derive(Default)]
pub(super) struct Values {
    /// It holds a star: anything goes, whatever else it holds.
    pub(super) star: bool,
    /// It is nothing but a star, or all of its values.
    pub(super) only_star: bool,
    pub(super) plain: BTreeSet<u32>,
    /// The last day of the month.
    pub(super) last: bool,
    /// The weekday nearest to this day of the month.
    pub(super) nearest: Option<u32>,
    /// By weekday, which of the month: bits 1 to 5 and [`LAST`].
    pub(super) nth: [u8; 7],
}

impl Values {
    pub(super) fn has_nth(&self) -> bool {
        self.nth.iter().any(|&bits| bits != 0)
    }

    fn len(&self) -> u32 {
        self.plain.len() as u32 + u32::from(self.last) + u32::from(self.star)
    }

    fn is_full(&self, field: &Field) -> bool {
        self.len() == field.most - field.least + 1
    }
}

/// Reads an expression into its 5 to 7 fields.
pub(super) fn parse(text: &str) -> Result<Vec<Values>, String> {
    let lower = text.to_lowercase();
    let expanded = match lower.as_str() {
        "@midnight" | "@daily" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@quarterly" => "0 0 1 */3 *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let space = |letter: char| letter.is_ascii_whitespace() || letter == '\x0b';
    let fields: Vec<&str> = expanded.split(space).filter(|field| !field.is_empty()).collect();
    if !(5..=7).contains(&fields.len()) {
        return Err(format!(
            "the cron expression \"{text}\" has {} fields; use 5 (minute hour day-of-month month day-of-week), optionally \
             followed by a second and a year",
            fields.len()
        ));
    }
    let mut all = Vec::with_capacity(fields.len());
    for (position, field) in fields.iter().enumerate() {
        let mut values = parse_field(position, field).map_err(|problem| {
            let name = FIELDS[position].name;
            format!("the cron expression \"{text}\" has a bad {name} field \"{field}\": {problem}")
        })?;
        // All days of one day field are not the same as a star while the other one names days: then either will do.
        let other = match position {
            DAY => fields[WEEKDAY],
            WEEKDAY => fields[DAY],
            _ => "*",
        };
        let full = values.is_full(&FIELDS[position]) && other.contains('*');
        values.only_star = full || (values.star && values.len() == 1);
        values.star |= full;
        all.push(values);
    }
    Ok(all)
}

fn parse_field(position: usize, text: &str) -> Result<Values, String> {
    let mut values = Values::default();
    if text.contains('?') {
        if text != "?" || !matches!(position, DAY | WEEKDAY) {
            return Err("\"?\" stands alone, in a day field".to_owned());
        }
        values.star = true;
        return Ok(values);
    }
    if text == "r" || text == "h" || ["r(", "r/", "h(", "h/"].iter().any(|start| text.starts_with(start)) {
        return Err("hashed and random values (H, R) have no fixed ticks; write a number".to_owned());
    }
    for item in text.split(',') {
        parse_item(position, item, &mut values)?;
    }
    if values.nearest.is_some() && text.contains(',') {
        return Err("\"W\" goes with a single day, not with a list".to_owned());
    }
    let mixed = values.plain.iter().any(|&day| values.nth.get(day as usize) == Some(&0));
    if values.has_nth() && mixed && !values.is_full(&FIELDS[position]) {
        return Err("days and nth days (such as 5#2 or L5) do not mix".to_owned());
    }
    Ok(values)
}

fn parse_item(position: usize, item: &str, values: &mut Values) -> Result<(), String> {
    if item.is_empty() {
        return Err("it has an empty item".to_owned());
    }
    if position == WEEKDAY {
        if let Some((days, nth)) = item.split_once('#') {
            let named = |day: &str| WEEKDAYS.contains(&day);
            // Ranges go with names only: "mon-fri#2", but not "1-5#2".
            let word = |days: &str| days.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let fits = days.split_once('-').map_or_else(|| word(days), |(low, high)| named(low) && named(high));
            let nth = digits(nth).filter(|nth| fits && (1..=5).contains(nth));
            let Some(nth) = nth else {
                return Err(format!("\"{item}\" is not a weekday with \"#\" and a number from 1 to 5"));
            };
            return add(position, days, Some(nth as u8), values);
        }
        if let Some(day) = item.strip_prefix('l')
            && digits(day).is_some()
        {
            return add(position, day, Some(LAST), values);
        }
    }
    if position == DAY
        && let Some(day) = item.strip_suffix('w').or_else(|| item.strip_prefix('w')).and_then(digits)
    {
        if !(1..=31).contains(&day) {
            return Err(format!("{day} is not between 1 and 31"));
        }
        values.nearest = Some(day);
        values.plain.insert(day);
        return Ok(());
    }
    add(position, item, None, values)
}

/// Adds a star, a value, or a range with or without a step.
fn add(position: usize, item: &str, nth: Option<u8>, values: &mut Values) -> Result<(), String> {
    let field = &FIELDS[position];
    if item == "*" {
        values.star = true;
        return Ok(());
    }
    if position == DAY && item == "l" {
        values.last = true;
        return Ok(());
    }
    let (range, step) = match item.rsplit_once('/') {
        None => (item, None),
        Some((range, step)) => {
            let step = digits(step).filter(|&step| step > 0);
            (range, Some(step.ok_or_else(|| format!("the step of \"{item}\" is no whole number above 0"))?))
        }
    };
    let found = match (range, range.split_once('-'), step) {
        ("*", _, step) => span(field.least, field.most, step.unwrap_or(1), field),
        (start, None, None) => vec![value(position, start)?],
        // From here to the end; from the last value on this is that one.
        (start, None, Some(step)) => {
            let start = value(position, start)?;
            if start == field.most { vec![start] } else { span(start, field.most, step, field) }
        }
        (_, Some((low, high)), step) => {
            let high = if position == DAY && high == "l" { "31" } else { high };
            span(value(position, low)?, value(position, high)?, step.unwrap_or(1), field)
        }
    };
    for number in found {
        if !(field.least..=field.most).contains(&number) {
            return Err(format!("{number} is not between {} and {}", field.least, field.most));
        }
        values.plain.insert(number);
        if let Some(nth) = nth {
            values.nth[number as usize] |= 1 << nth;
        }
    }
    Ok(())
}

/// croniter's ranges: backwards they wrap, and from a value to itself they mean the whole field.
fn span(low: u32, high: u32, step: u32, field: &Field) -> Vec<u32> {
    let by = step as usize;
    match low.cmp(&high) {
        std::cmp::Ordering::Less => (low..=high).step_by(by).collect(),
        std::cmp::Ordering::Equal => (field.least..=field.most).step_by(by).collect(),
        std::cmp::Ordering::Greater => {
            let mut found: Vec<u32> = (low..=field.most).step_by(by).collect();
            let last = found.last().copied().unwrap_or(low);
            let (passed, length) = (field.most - last, field.most - field.least + 1);
            let skip =
                if (last - field.least).saturating_add(step) > length && passed < step { step - passed } else { 0 };
            found.extend((field.least.saturating_add(skip)..=high).step_by(by));
            found
        }
    }
}

fn digits(text: &str) -> Option<u32> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too long for us is too large for any field, but not for a step.
    all.then(|| text.parse().unwrap_or(u32::MAX))
}

/// A number or name, not above the field's last value. It may be below the first one, where only a range that wraps can
/// begin or end.
fn value(position: usize, text: &str) -> Result<u32, String> {
    let field = &FIELDS[position];
    let name = |names: &[&str]| names.iter().position(|name| *name == text).and_then(|found| u32::try_from(found).ok());
    let named = match position {
        MONTH => name(&MONTHS).map(|month| month + 1),
        WEEKDAY => name(&WEEKDAYS),
        _ => None,
    };
    let number = named.or_else(|| digits(text)).ok_or_else(|| format!("\"{text}\" is no {}", field.name))?;
    // Sunday is 0 and 7.
    let number = if position == WEEKDAY && number == 7 { 0 } else { number };
    if number > field.most {
        return Err(format!("{number} is not between {} and {}", field.least, field.most));
    }
    Ok(number)
}
