//! Values compared field by field, and as people read them.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::FieldChange;

/// The fields in which two values differ.
pub(super) fn difference(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk("", old, new, &mut found);
    found
}

fn walk(path: &str, old: &Value, new: &Value, found: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if duration(old).is_none() && duration(new).is_none() => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let value = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                walk(&path, &value(before), &value(after), found);
            }
        }
        _ => {
            let shown = |value: &Value| (!value.is_null()).then(|| short(value));
            found.push(FieldChange { field: path.to_owned(), old: shown(old), new: shown(new) });
        }
    }
}

/// A value as people read it.
pub(super) fn short(value: &Value) -> String {
    match (value, duration(value)) {
        (_, Some(duration)) => format!("{}s", duration.as_secs_f64()),
        (Value::String(text), _) => text.clone(),
        (value, _) => value.to_string(),
    }
}

/// A duration as serde writes it.
fn duration(value: &Value) -> Option<Duration> {
    let fields = value.as_object().filter(|fields| fields.len() == 2)?;
    Some(Duration::new(fields.get("secs")?.as_u64()?, u32::try_from(fields.get("nanos")?.as_u64()?).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_and_durations_are_seconds() {
        let old = json!({"retry": {"retries": 1, "delay": {"secs": 300, "nanos": 0}}, "pool": "a", "end_date": null});
        let new = json!({"retry": {"retries": 1, "delay": {"secs": 90, "nanos": 0}}, "pool": "a", "end_date": "x"});
        let change = |field: &str, old: Option<&str>, new: &str| FieldChange {
            field: field.to_owned(),
            old: old.map(ToOwned::to_owned),
            new: Some(new.to_owned()),
        };
        assert_eq!(difference(&old, &new), [change("end_date", None, "x"), change("retry.delay", Some("300s"), "90s")]);
    }
}
