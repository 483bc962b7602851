//! Hides secrets in what leaves the worker, by Airflow's rules for what a secret is.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tradewind_types::Connection;

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter ones are not masked: they would blot out half of the log.
const MIN_LENGTH: usize = 5;
/// Parts of the names of variables and fields whose values are secrets.
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

/// The secrets that one attempt has seen. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masker {
    /// Longest first, so that a secret that contains another one is hidden whole.
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Masker {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // The list is sound between any two statements, so a panic elsewhere does not spoil it.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A variable whose key may say that it is a secret; a JSON value is searched for fields that do.
    pub(crate) fn add_variable(&self, key: &str, value: &str) {
        let json = serde_json::from_str::<Value>(value).unwrap_or_default();
        if is_sensitive(key) {
            self.add(value);
            self.add_all(&json);
        } else {
            self.add_fields(&json);
        }
    }

    /// The password of a connection, and the secrets of its extra.
    pub(crate) fn add_connection(&self, connection: &Connection) {
        if let Some(password) = &connection.password {
            self.add(password);
        }
        if let Some(extra) = &connection.extra {
            self.add_fields(&serde_json::from_str(extra).unwrap_or_default());
        }
    }

    /// A secret in any of the forms in which it may be printed: as it is, line by line, in a URL, in JSON, in base64.
    pub(crate) fn add(&self, secret: &str) {
        if secret.chars().count() < MIN_LENGTH || secret.eq_ignore_ascii_case("airflow") {
            return;
        }
        let json = Value::from(secret).to_string();
        let mut forms =
            vec![secret.to_owned(), json[1..json.len() - 1].to_owned(), percent(secret), STANDARD.encode(secret)];
        // A key of several lines comes out line by line.
        forms.extend(secret.lines().map(str::trim).map(str::to_owned));
        let mut secrets = self.lock();
        for form in forms {
            if form.chars().count() >= MIN_LENGTH && !secrets.contains(&form) {
                let at = secrets.partition_point(|known| known.len() > form.len());
                secrets.insert(at, form);
            }
        }
    }

    fn add_fields(&self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if is_sensitive(name) {
                        self.add_all(field);
                    } else {
                        self.add_fields(field);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_fields(item)),
            _ => {}
        }
    }

    fn add_all(&self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.add_all(field)),
            _ => {}
        }
    }

    /// A text without the secrets.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let secrets = self.lock();
        let mut masked = Cow::Borrowed(text);
        for secret in secrets.iter() {
            if masked.contains(secret.as_str()) {
                masked = Cow::Owned(masked.replace(secret.as_str(), MASK));
            }
        }
        masked
    }

    /// Hides the secrets in all texts of a value.
    pub(crate) fn hide_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.hide(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.hide_value(field)),
            _ => {}
        }
    }
}

fn is_sensitive(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

/// Percent-encoding as in the user part of a URL.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_a_secret() {
        let masker = Masker::default();
        masker.add_variable("db_password", "hunter22");
        masker.add_variable("greeting", "plain value");
        masker.add_variable("settings", r#"{"Api_Key": "k-12345", "region": "north", "auth": [{"token": "t-12345"}]}"#);
        assert_eq!(masker.hide("hunter22 plain value k-12345 north t-12345"), "*** plain value *** north ***");
    }

    #[test]
    fn connections_hide_password_and_extra() {
        let masker = Masker::default();
        masker.add_connection(&Connection {
            password: Some("p@ss/word".to_owned()),
            extra: Some(r#"{"secret_access_key": "abcdefg", "region": "north"}"#.to_owned()),
            ..Connection::default()
        });
        assert_eq!(masker.hide("p@ss/word p%40ss%2Fword cEBzcy93b3Jk abcdefg north"), "*** *** *** *** north");
    }

    #[test]
    fn longer_secrets_go_first_and_lines_are_secrets_too() {
        let masker = Masker::default();
        masker.add("secret");
        masker.add("secret-and-more");
        masker.add("-----BEGIN-----\nabcdefgh\nij\n-----END-----");
        assert_eq!(masker.hide("secret-and-more, secret"), "***, ***");
        assert_eq!(masker.hide("abcdefgh"), "***");
        assert_eq!(masker.hide("ij"), "ij");
    }

    #[test]
    fn short_ones_stay() {
        let masker = Masker::default();
        masker.add("abc");
        masker.add("airflow");
        assert_eq!(masker.hide("abc airflow"), "abc airflow");
        let mut value = serde_json::json!({"a": ["x", 1]});
        masker.hide_value(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x", 1]}));
    }
}
