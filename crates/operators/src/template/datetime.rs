//! Instants in templates: the part of pendulum's `DateTime` that templates use.
//!
//! MiniJinja cannot overload operators, so `logical_date + macros.timedelta(days=1)` is written
//! `logical_date.add(days=1)`, which pendulum has as well.

use std::{cmp::Ordering, fmt, sync::Arc};

use jiff::{Span, ToSpan, Unit, Zoned, ZonedRound};
use minijinja::{
    Error, ErrorKind, State, Value,
    value::{DynObject, Kwargs, Object, ObjectRepr, from_args},
};
use tradewind_types::Timestamp;

/// An instant in a zone.
#[derive(Debug)]
pub(super) struct DateTime(pub(super) Zoned);

impl DateTime {
    pub(super) fn value(at: Timestamp) -> Value {
        Self::zoned(at.to_zoned(jiff::tz::TimeZone::UTC))
    }

    pub(super) fn optional(at: Option<Timestamp>) -> Value {
        at.map_or(Value::from(()), Self::value)
    }

    fn zoned(at: Zoned) -> Value {
        Value::from_object(Self(at))
    }
}

/// Python's `isoformat(sep)`: microseconds only when there are some.
pub(super) fn isoformat(at: &Zoned, separator: char) -> String {
    let fraction = match at.subsec_nanosecond() / 1_000 {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    format!("{}{separator}{}{fraction}{}", at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S"), at.strftime("%:z"),)
}

/// Python's `strftime`. `%f` is six digits there.
pub(super) fn strftime(at: &Zoned, format: &str) -> Result<String, Error> {
    // `%%f` is a percent sign and an f.
    let format: Vec<String> = format.split("%%").map(|part| part.replace("%f", "%6f")).collect();
    jiff::fmt::strtime::format(format.join("%%"), at).map_err(|error| invalid(format!("strftime: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn span(kwargs: &Kwargs) -> Result<Span, Error> {
    let mut span = Span::new();
    for (unit, name) in [
        (Unit::Year, "years"),
        (Unit::Month, "months"),
        (Unit::Week, "weeks"),
        (Unit::Day, "days"),
        (Unit::Hour, "hours"),
        (Unit::Minute, "minutes"),
        (Unit::Second, "seconds"),
        (Unit::Microsecond, "microseconds"),
    ] {
        let Some(count) = kwargs.get::<Option<i64>>(name)? else {
            continue;
        };
        let set = match unit {
            Unit::Year => span.try_years(count),
            Unit::Month => span.try_months(count),
            Unit::Week => span.try_weeks(count),
            Unit::Day => span.try_days(count),
            Unit::Hour => span.try_hours(count),
            Unit::Minute => span.try_minutes(count),
            Unit::Second => span.try_seconds(count),
            _ => span.try_microseconds(count),
        };
        span = set.map_err(|error| invalid(format!("{name}: {error}")))?;
    }
    kwargs.assert_all_used()?;
    Ok(span)
}

fn start_of(at: &Zoned, unit: &str) -> Result<Zoned, Error> {
    let result = match unit {
        "second" => at.round(ZonedRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc)),
        "minute" => at.round(ZonedRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Trunc)),
        "hour" => at.round(ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc)),
        "day" => at.start_of_day(),
        "week" => {
            at.checked_sub(i64::from(at.weekday().to_monday_zero_offset()).days()).and_then(|day| day.start_of_day())
        }
        "month" => at.first_of_month().and_then(|day| day.start_of_day()),
        "year" => at.first_of_year().and_then(|day| day.start_of_day()),
        other => {
            return Err(invalid(format!(
                "start_of: \"{other}\" is not one of second, minute, hour, day, week, month, year"
            )));
        }
    };
    result.map_err(|error| invalid(format!("start_of: {error}")))
}

impl Object for DateTime {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = &self.0;
        Some(match key {
            "year" => Value::from(at.year()),
            "month" => Value::from(at.month()),
            "day" => Value::from(at.day()),
            "hour" => Value::from(at.hour()),
            "minute" => Value::from(at.minute()),
            "second" => Value::from(at.second()),
            "microsecond" => Value::from(at.subsec_nanosecond() / 1_000),
            "int_timestamp" => Value::from(at.timestamp().as_second()),
            // pendulum 3 counts from Monday.
            "day_of_week" => Value::from(at.weekday().to_monday_zero_offset()),
            "day_of_year" => Value::from(at.day_of_year()),
            "quarter" => Value::from((at.month() - 1) / 3 + 1),
            "timezone_name" => Value::from(at.time_zone().iana_name().unwrap_or("UTC")),
            _ => return None,
        })
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let at = &self.0;
        Ok(match method {
            "strftime" => {
                let (format,): (&str,) = from_args(args)?;
                Value::from(strftime(at, format)?)
            }
            "isoformat" => {
                let (separator,): (Option<&str>,) = from_args(args)?;
                let separator = separator.and_then(|text| text.chars().next()).unwrap_or('T');
                Value::from(isoformat(at, separator))
            }
            "to_iso8601_string" => Value::from(isoformat(at, 'T')),
            "to_date_string" | "date" => {
                let () = from_args(args)?;
                Value::from(at.strftime("%Y-%m-%d").to_string())
            }
            "to_datetime_string" => Value::from(at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            "to_time_string" | "time" => Value::from(at.strftime("%H:%M:%S").to_string()),
            "timestamp" => Value::from(at.timestamp().as_microsecond() as f64 / 1e6),
            "weekday" => Value::from(at.weekday().to_monday_zero_offset()),
            "isoweekday" => Value::from(at.weekday().to_monday_one_offset()),
            "add" | "subtract" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let mut span = span(&kwargs)?;
                if method == "subtract" {
                    span = span.negate();
                }
                let moved = at.checked_add(span);
                Self::zoned(moved.map_err(|error| invalid(format!("{method}: {error}")))?)
            }
            "in_timezone" | "in_tz" | "astimezone" => {
                let (zone,): (&str,) = from_args(args)?;
                Self::zoned(at.with_time_zone(crate::time_sensors::zone(zone).map_err(invalid)?))
            }
            "start_of" => {
                let (unit,): (&str,) = from_args(args)?;
                Self::zoned(start_of(at, unit)?)
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.0.timestamp().cmp(&other.0.timestamp()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&isoformat(&self.0, ' '))
    }
}
