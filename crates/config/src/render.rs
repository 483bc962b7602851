//! Shows a configuration, without its secrets.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use crate::{Config, Origin, keys::is_secret};

/// The configuration as TOML, sections and keys sorted, each line ending in a comment that says where the value came from
/// when `origins` is not empty. Secrets show as `***`, passwords in URLs, too; options without a value are commented out.
pub fn render_toml(config: &Config, origins: &BTreeMap<String, Origin>) -> String {
    let sections: BTreeMap<String, BTreeMap<String, Value>> = serde_json::to_value(config)
        .and_then(serde_json::from_value)
        // As for the defaults: a struct of structs without anything that JSON cannot say.
        .unwrap_or_default();
    let mut out = String::new();
    for (section, keys) in sections {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}[{section}]", if out.is_empty() { "" } else { "\n" });
        for (key, value) in keys {
            let full = format!("{section}.{key}");
            let origin = origins.get(&full).map_or_else(String::new, |origin| format!("  # {origin}"));
            let _ = match shown(&full, value) {
                Some(value) => writeln!(out, "{key} = {value}{origin}"),
                None => writeln!(out, "# {key} ={origin}"),
            };
        }
    }
    out
}

fn shown(key: &str, value: Value) -> Option<String> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) if is_secret(key) && !text.is_empty() => Value::from("***"),
        Value::String(text) if key.ends_with(".url") || key.ends_with("_endpoint") => {
            Value::from(without_password(&text))
        }
        // What tasks see is often a secret, and its names say enough.
        Value::Object(entries) => {
            entries.into_iter().map(|(name, _)| (name, Value::from("***"))).collect::<serde_json::Map<_, _>>().into()
        }
        value => value,
    };
    Some(inline(&value))
}

fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(name, value)| format!("{} = {}", inline(&Value::from(name.as_str())), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        // Numbers and truth values are written alike in JSON and TOML.
        value => value.to_string(),
    }
}

/// A URL with its password as `***`: for logs, errors and listings.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A password may hold a `/` that was not encoded: take the last `@` before a query.
    let query = rest.find('?').unwrap_or(rest.len());
    let Some(at) = rest[..query].rfind('@') else {
        return url.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    if !rest[..at].contains(':') {
        return url.to_owned();
    }
    format!("{scheme}://{user}:***@{}", &rest[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        for (url, shown) in [
            ("postgres://u:p@h:5432/d", "postgres://u:***@h:5432/d"),
            ("postgres://u:p/@x@h/d?a=b@c", "postgres://u:***@h/d?a=b@c"),
            ("redis://:secret@h:6379/0", "redis://:***@h:6379/0"),
            ("redis://h:6379", "redis://h:6379"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("memory:", "memory:"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
