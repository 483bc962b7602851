//! `macros.*` and the date filters.

use std::sync::Arc;

use jiff::civil::Date;
use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Object, from_args},
};

use super::{
    datetime::{DateTime, invalid, isoformat, strftime},
    lookup::serde,
};

/// Airflow's macros, as far as they make sense without Python objects (semantics E1).
#[derive(Debug)]
pub(super) struct Macros;

impl Object for Macros {
    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "ds_add" => {
                let (ds, days): (&str, i64) = from_args(args)?;
                ds_add(ds, days).map(Value::from)
            }
            "ds_format" => {
                let (ds, input, output): (&str, &str, &str) = from_args(args)?;
                ds_format(ds, input, output).map(Value::from)
            }
            other => Err(invalid(format!(
                "macros.{other} needs Python; here are ds_add, ds_format, json.dumps and json.loads"
            ))),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        (key == "json").then(|| Value::from_object(JsonModule))
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }
}

#[derive(Debug)]
struct JsonModule;

impl Object for JsonModule {
    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let bad = |error: serde_json::Error| invalid(format!("json.{method}: {error}"));
        match method {
            "dumps" => {
                let (value,): (&Value,) = from_args(args)?;
                serde_json::to_string(value).map(Value::from).map_err(bad)
            }
            "loads" => {
                let (text,): (&str,) = from_args(args)?;
                let value: serde_json::Value = serde_json::from_str(text).map_err(bad)?;
                Ok(serde(value))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn ds_add(ds: &str, days: i64) -> Result<String, Error> {
    let date = Date::strptime("%Y-%m-%d", ds)
        .map_err(|_| invalid(format!("ds_add: \"{ds}\" is not a date like 2026-01-31")))?;
    let date = jiff::Span::new()
        .try_days(days)
        .and_then(|span| date.checked_add(span))
        .ok()
        .ok_or_else(|| invalid(format!("ds_add: {ds} and {days} days is out of range")))?;
    Ok(date.to_string())
}

fn ds_format(ds: &str, input: &str, output: &str) -> Result<String, Error> {
    let bad = |error: jiff::Error| invalid(format!("ds_format: \"{ds}\" as \"{input}\": {error}"));
    let parsed = jiff::fmt::strtime::parse(input, ds).map_err(bad)?;
    let at = match (parsed.to_datetime(), parsed.to_date()) {
        (Ok(at), _) => at,
        (Err(_), Ok(date)) => date.at(0, 0, 0, 0),
        (Err(error), Err(_)) => return Err(bad(error)),
    };
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(bad)?;
    strftime(&at, output)
}

/// Adds the filters `ds`, `ds_nodash`, `ts`, `ts_nodash` and `ts_nodash_with_tz`.
pub(super) fn add_filters(environment: &mut Environment<'static>) {
    for name in ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"] {
        environment.add_filter(name, move |value: &Value| -> Result<Value, Error> {
            if value.is_none() {
                return Ok(Value::from(()));
            }
            let at = value
                .downcast_object_ref::<DateTime>()
                .ok_or_else(|| invalid(format!("{name}: the value is not a date")))?;
            Ok(Value::from(date_format(&at.0, name)))
        });
    }
}

/// A date in one of Airflow's five forms.
pub(super) fn date_format(at: &jiff::Zoned, form: &str) -> String {
    match form {
        "ds" => at.strftime("%Y-%m-%d").to_string(),
        "ds_nodash" => at.strftime("%Y%m%d").to_string(),
        "ts_nodash" => at.strftime("%Y%m%dT%H%M%S").to_string(),
        "ts_nodash_with_tz" => isoformat(at, 'T').replace(['-', ':'], ""),
        _ => isoformat(at, 'T'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_add_and_format() {
        assert_eq!(ds_add("2026-01-31", 1).unwrap(), "2026-02-01");
        assert_eq!(ds_add("2026-03-01", -1).unwrap(), "2026-02-28");
        assert!(ds_add("yesterday", 1).is_err());
        assert!(ds_add("2026-01-31", i64::MAX).is_err());
        assert_eq!(ds_format("2026-01-31", "%Y-%m-%d", "%d.%m.%y").unwrap(), "31.01.26");
        assert_eq!(ds_format("31/01/2026 05:06", "%d/%m/%Y %H:%M", "%H-%M").unwrap(), "05-06");
    }
}
