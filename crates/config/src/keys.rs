//! Which keys there are and what kind of value each takes, read off the defaults.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Config;

/// Options whose values are never shown.
pub const SECRET_KEYS: [&str; 4] =
    ["security.admin_token", "security.worker_token", "security.processor_token", "security.fernet_key"];

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Whole,
    Number,
    Text,
    /// Text that may be absent; an empty one is absent.
    OptionalText,
    List,
    Map,
}

impl Kind {
    fn of(default: &Value) -> Self {
        match default {
            Value::Null => Self::OptionalText,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Whole,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Map,
        }
    }

    /// What a message says that it expects.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Text | Self::OptionalText => "text",
            Self::List => "a list of texts, e.g. [\"a\", \"b\"]",
            Self::Map => "a table of texts, e.g. { NAME = \"value\" }",
        }
    }
}

/// The defaults as JSON: sections of keys.
pub(crate) fn defaults() -> BTreeMap<String, BTreeMap<String, Value>> {
    // The options hold nothing that JSON cannot say, and each section is a struct: `keys_are_known` proves both.
    serde_json::to_value(Config::default()).and_then(serde_json::from_value).unwrap_or_default()
}

/// The kind of each key.
pub(crate) fn kinds() -> BTreeMap<String, Kind> {
    defaults()
        .into_iter()
        .flat_map(|(section, keys)| {
            keys.into_iter().map(move |(key, value)| (format!("{section}.{key}"), Kind::of(&value)))
        })
        .collect()
}

/// Every option as `section.key`, sorted.
pub fn all_keys() -> Vec<String> {
    kinds().into_keys().collect()
}

/// Whether the value of the option is a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_with_their_kinds() {
        let kinds = kinds();
        assert_eq!(kinds["scheduler.task_lease_secs"], Kind::Number);
        assert_eq!(kinds["scheduler.parallelism"], Kind::Whole);
        assert_eq!(kinds["worker.queues"], Kind::List);
        assert_eq!(kinds["worker.env"], Kind::Map);
        assert_eq!(kinds["python.interpreter"], Kind::OptionalText);
        assert_eq!(kinds["core.create_cron_data_intervals"], Kind::Bool);
        assert!(SECRET_KEYS.iter().all(|key| kinds.get(*key) == Some(&Kind::Text)));
    }
}
