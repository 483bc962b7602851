//! Hides secrets in a task's log, by Airflow's rules for what a secret is.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::api::{ConnectionInfo, LogLine};
use crate::control::lock;

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter ones are not masked: they would blot out half of the log.
const MIN_LENGTH: usize = 5;
/// Part of the name of a variable or a field whose value is a secret.
const SENSITIVE: [&str; 22] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "proxy_password",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

/// The secrets that one task has seen so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Masker {
    /// Longest first, so that a secret that contains another one is hidden whole.
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Masker {
    /// Adds a secret. With a name, only if the name says that it is one.
    pub(crate) fn add(&self, value: &Value, name: Option<&str>) {
        match value {
            Value::String(text) if name.is_none_or(is_sensitive) => self.add_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.add(item, name)),
            Value::Object(fields) => fields.iter().for_each(|(key, field)| self.add(field, Some(key))),
            _ => {}
        }
    }

    pub(crate) fn add_connection(&self, connection: &ConnectionInfo) {
        if let Some(password) = &connection.password {
            self.add_text(password);
        }
        if let Some(extra) = &connection.extra {
            self.add_text(extra);
            if let Ok(fields) = serde_json::from_str::<Value>(extra) {
                self.add(&fields, Some("extra"));
            }
        }
    }

    fn add_text(&self, text: &str) {
        if text.chars().count() < MIN_LENGTH || text.eq_ignore_ascii_case("airflow") {
            return;
        }
        let mut secrets = lock(&self.secrets);
        if !secrets.iter().any(|known| known == text) {
            let at = secrets.partition_point(|known| known.len() > text.len());
            secrets.insert(at, text.to_owned());
        }
    }

    /// Hides all secrets in a line.
    pub(crate) fn hide(&self, line: &mut LogLine) {
        let secrets = lock(&self.secrets);
        if secrets.is_empty() {
            return;
        }
        if let Cow::Owned(masked) = hide_text(&secrets, &line.message) {
            line.message = masked;
        }
        line.fields.values_mut().for_each(|field| hide_value(&secrets, field));
    }
}

fn is_sensitive(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

fn hide_value(secrets: &[String], value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = hide_text(secrets, text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide_value(secrets, item)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide_value(secrets, field)),
        _ => {}
    }
}

fn hide_text<'a>(secrets: &[String], text: &'a str) -> Cow<'a, str> {
    let mut masked = Cow::Borrowed(text);
    for secret in secrets {
        if masked.contains(secret.as_str()) {
            masked = Cow::Owned(masked.replace(secret.as_str(), MASK));
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    impl Masker {
        fn hide_text(&self, text: &str) -> String {
            hide_text(&lock(&self.secrets), text).into_owned()
        }
    }

    #[test]
    fn only_values_with_a_telling_name_are_secrets() {
        let masker = Masker::default();
        masker.add(&json!("hunter22"), Some("db_password"));
        masker.add(&json!("plain value"), Some("greeting"));
        masker.add(&json!({"token": "abcdef", "user": "someone"}), None);
        assert_eq!(masker.hide_text("hunter22 plain value abcdef someone"), "*** plain value *** someone");
    }

    #[test]
    fn a_secret_inside_of_another_does_not_leave_its_rest_behind() {
        let masker = Masker::default();
        masker.add(&json!("secret"), None);
        masker.add(&json!("secret-and-more"), None);
        assert_eq!(masker.hide_text("secret-and-more, secret"), "***, ***");
    }

    #[test]
    fn short_ones_are_left_alone() {
        let masker = Masker::default();
        masker.add(&json!("abc"), None);
        assert_eq!(masker.hide_text("abc"), "abc");
    }

    #[test]
    fn a_connection_hides_its_password_and_the_secrets_of_its_extra() {
        let masker = Masker::default();
        masker.add_connection(&ConnectionInfo {
            password: Some("pa55word".to_owned()),
            extra: Some(r#"{"api_key": "k-123456", "region": "north"}"#.to_owned()),
            ..ConnectionInfo::default()
        });
        assert_eq!(masker.hide_text("pa55word k-123456 north"), "*** *** north");
    }
}
