//! Typed access to the fields of serialized objects, and Airflow's wrapped values as plain JSON.

use std::time::Duration;

use serde_json::{Map, Value};
use tradewind_types::Timestamp;

/// Fields of a serialized object, over those of what stands behind it.
pub(super) struct Fields<'v> {
    own: &'v Map<String, Value>,
    /// What a mapped operator was given besides its mapped arguments (`partial_kwargs`).
    partial: Option<&'v Map<String, Value>>,
    defaults: Option<&'v Map<String, Value>>,
}

impl<'v> Fields<'v> {
    pub(super) fn new(own: &'v Map<String, Value>) -> Self {
        Self { own, partial: None, defaults: None }
    }

    /// The fields of a task. Those of a mapped one are in its `partial_kwargs`, in wrappers where others have none.
    pub(super) fn of_task(own: &'v Map<String, Value>, defaults: &'v Map<String, Value>) -> Self {
        let partial = own.get("partial_kwargs").map(unwrapped).and_then(Value::as_object);
        Self { own, partial, defaults: Some(defaults) }
    }

    fn find(&self, name: &str) -> Option<&'v Value> {
        self.own.get(name).or_else(|| self.partial?.get(name)).or_else(|| self.defaults?.get(name))
    }

    /// The value with its wrapper, whose type matters to the reader.
    pub(super) fn wrapped(&self, name: &str) -> Option<&'v Value> {
        self.own.get(name).filter(|value| !value.is_null())
    }

    /// The value without its wrapper, a null one being none.
    pub(super) fn raw(&self, name: &str) -> Option<&'v Value> {
        self.find(name).map(unwrapped).filter(|value| !value.is_null())
    }

    /// Whether the field says something: not absent, null, false, or empty.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        match self.raw(name) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    fn typed<T>(&self, name: &str, what: &str, read: impl FnOnce(&'v Value) -> Option<T>) -> Result<Option<T>, String> {
        match self.raw(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| format!("\"{name}\" is {value}, not {what}")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.typed(name, "text", |value| value.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        self.typed(name, "a list of texts", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect()
        })
        .map(Option::unwrap_or_default)
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, String> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, String> {
        self.typed(name, "a whole number of at least 0", |value| {
            let number = whole(value)?;
            u32::try_from(number).ok()
        })
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, String> {
        self.typed(name, "a whole number", whole)
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        self.typed(name, "a duration in seconds", |value| super::seconds(value.as_f64()?))
    }

    pub(super) fn instant(&self, name: &str) -> Result<Option<Timestamp>, String> {
        self.typed(name, "an instant in seconds since the epoch", |value| {
            let micros = (value.as_f64()? * 1e6).round();
            // Instants of Python fit an i64 of microseconds by far; what does not is refused by the range below.
            Timestamp::from_microsecond(micros as i64).ok()
        })
    }
}

/// Python's numbers: 16 and 16.0 are the same count.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

/// The inside of `{"__type": …, "__var": …}`, else the value itself.
pub(super) fn unwrapped(value: &Value) -> &Value {
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("__type") => {
            fields.get("__var").unwrap_or(value)
        }
        _ => value,
    }
}

/// A value without Airflow's wrappers, all the way down: dicts, sets and tuples become objects and lists; instants and
/// durations become numbers.
pub(super) fn plain(value: &Value) -> Value {
    match unwrapped(value) {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        value => value.clone(),
    }
}
