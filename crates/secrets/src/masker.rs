//! Hides secrets in text that leaves the machine or is kept: task logs, error messages, rendered fields.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, PoisonError, RwLock},
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// What stands for a secret, as in Airflow.
pub const MASK: &str = "***";

/// Shorter values are not masked, as in Airflow: they would blot out half of a log and show what they are by that.
const MIN_CHARS: usize = 5;

/// A field or variable whose name contains one of these holds a secret (Airflow's `DEFAULT_SENSITIVE_FIELDS`).
pub const SENSITIVE_FIELDS: [&str; 22] = [
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

/// Whether the value under this name is taken for a secret: Airflow's `should_hide_value_for_key`.
pub fn is_sensitive_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let mut normal = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_alphanumeric() || character == '_' {
            normal.push(character);
        } else if !normal.ends_with('_') {
            normal.push('_');
        }
    }
    SENSITIVE_FIELDS.iter().any(|field| normal.contains(field))
}

/// A set of secrets that grows while a task runs. Clones share it.
#[derive(Clone, Default)]
pub struct Masker {
    shared: Arc<RwLock<Shared>>,
}

#[derive(Default)]
struct Shared {
    forms: BTreeSet<String>,
    finder: Option<AhoCorasick>,
    longest: usize,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker {{ {} forms }}", self.read().forms.len())
    }
}

impl Masker {
    /// A masker that knows no secret yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Shared> {
        // Writers replace the finder whole, so a poisoned lock still guards a sound one.
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a secret with the forms in which it may show: as it stands, each of its lines, URL-encoded, Base64, and as the
    /// inside of a JSON string. Values shorter than 5 characters and the word `airflow` are left alone, as in Airflow.
    pub fn add(&self, secret: &str) {
        let mut forms = BTreeSet::new();
        for part in std::iter::once(secret).chain(secret.lines()) {
            // The lines of a PEM key are secrets of their own, since logs are written line by line.
            if part.chars().count() < MIN_CHARS || part.eq_ignore_ascii_case("airflow") {
                continue;
            }
            forms.extend(forms_of(part));
        }
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let before = shared.forms.len();
        shared.forms.extend(forms);
        if shared.forms.len() == before {
            return;
        }
        shared.longest = shared.forms.iter().map(String::len).max().unwrap_or(0);
        // Building fails only when the automaton would not fit its 32-bit ids: gigabytes of secrets.
        shared.finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&shared.forms).ok();
    }

    /// Adds what a JSON value holds: with a name, only texts below a sensitive name, as Airflow's `mask_secret`.
    pub fn add_value(&self, value: &serde_json::Value, name: Option<&str>) {
        match value {
            serde_json::Value::String(text) if name.is_none_or(is_sensitive_name) => self.add(text),
            serde_json::Value::Array(items) => {
                items.iter().for_each(|item| self.add_value(item, name));
            }
            serde_json::Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| self.add_value(value, Some(key)))
            }
            _ => {}
        }
    }

    /// Adds a variable's value when its key is a sensitive name. A value that is JSON is searched: for everything below a
    /// sensitive key, else for what its fields' names say.
    pub fn add_variable(&self, key: &str, value: &str) {
        let json = serde_json::from_str::<serde_json::Value>(value).unwrap_or_default();
        if is_sensitive_name(key) {
            self.add(value);
            self.add_all(&json);
        } else {
            self.add_value(&json, Some(key));
        }
    }

    fn add_all(&self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => self.add(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            serde_json::Value::Object(fields) => fields.values().for_each(|field| self.add_all(field)),
            _ => {}
        }
    }

    /// Adds the secrets of a connection: its password, and the sensitive fields of its extra (a JSON object as text, or
    /// the whole text when it is none).
    pub fn add_connection(&self, password: Option<&str>, extra: Option<&str>) {
        if let Some(password) = password {
            self.add(password);
        }
        if let Some(extra) = extra.filter(|extra| !extra.trim().is_empty()) {
            match serde_json::from_str(extra) {
                Ok(value) => self.add_value(&value, Some("extra")),
                Err(_) => self.add(extra),
            }
        }
    }

    /// The text with each secret replaced by [`MASK`].
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let shared = self.read();
        let Some(finder) = &shared.finder else {
            return Cow::Borrowed(text);
        };
        let mut out = String::new();
        let mut end = 0;
        for found in finder.find_iter(text) {
            out.push_str(&text[end..found.start()]);
            out.push_str(MASK);
            end = found.end();
        }
        if end == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[end..]);
        Cow::Owned(out)
    }

    /// Replaces each secret in the texts of a value.
    pub fn mask_value(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.mask_value(field)),
            _ => {}
        }
    }

    /// The value with each secret in its texts replaced, and each text below a sensitive name (Airflow's `redact`).
    pub fn redact(&self, value: &serde_json::Value, name: Option<&str>) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(_) if name.is_some_and(is_sensitive_name) => Value::from(MASK),
            Value::String(text) => Value::from(self.mask(text).into_owned()),
            Value::Array(items) => items.iter().map(|item| self.redact(item, name)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.redact(value, Some(key)))).collect()
            }
            other => other.clone(),
        }
    }

    /// A masker for one stream of bytes that arrives in pieces.
    pub fn stream(&self) -> StreamMasker {
        StreamMasker { masker: self.clone(), held: Vec::new() }
    }
}

/// Masks a stream whose pieces may cut a secret, or a character, in two. It holds back at most as many bytes as the
/// longest secret has; [`StreamMasker::finish`] gives them out.
#[derive(Debug)]
pub struct StreamMasker {
    masker: Masker,
    held: Vec<u8>,
}

impl StreamMasker {
    /// Takes a piece and gives what can be given out. A complete line is never held back unless a secret could span it.
    pub fn push(&mut self, piece: &[u8]) -> String {
        self.held.extend_from_slice(piece);
        let keep = {
            let shared = self.masker.read();
            let tail_start = self.held.len().saturating_sub(shared.longest.saturating_sub(1));
            let tail = &self.held[tail_start..];
            // The shortest cut before which no secret can have begun.
            (0..tail.len())
                .find(|&at| shared.forms.iter().any(|form| form.as_bytes().starts_with(&tail[at..])))
                .map_or(0, |at| tail.len() - at)
        };
        let mut cut = self.held.len() - keep;
        cut -= incomplete_tail(&self.held[..cut]);
        self.release(cut)
    }

    /// Gives out what was held back, at the end of the stream.
    pub fn finish(mut self) -> String {
        let end = self.held.len();
        self.release(end)
    }

    fn release(&mut self, cut: usize) -> String {
        let rest = self.held.split_off(cut);
        let out = std::mem::replace(&mut self.held, rest);
        let text = String::from_utf8_lossy(&out);
        self.masker.mask(&text).into_owned()
    }
}

/// Bytes at the end that begin a character without ending it.
fn incomplete_tail(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        _ => 0,
    }
}

fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    forms.push(percent_encoded(secret, "-._~", false));
    forms.push(percent_encoded(secret, "-._~/", false));
    forms.push(percent_encoded(secret, "-._~", true));
    if let Ok(quoted) = serde_json::to_string(secret) {
        forms.push(quoted[1..quoted.len() - 1].to_owned());
    }
    // Base64 of a longer text holds a secret at three offsets; the characters that depend on its neighbours are left out.
    for offset in 0..3usize {
        let padded = [&vec![0; offset][..], secret.as_bytes()].concat();
        let skip = [0, 2, 3][offset];
        let whole = padded.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            if let Some(core) = encoded.get(skip..whole)
                && core.len() >= MIN_CHARS
            {
                forms.push(core.to_owned());
            }
        }
    }
    forms
}

fn percent_encoded(text: &str, keep: &str, plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) => {
                out.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn masker(secrets: &[&str]) -> Masker {
        let masker = Masker::new();
        secrets.iter().for_each(|secret| masker.add(secret));
        masker
    }

    #[test]
    fn names_are_judged_as_airflow_does() {
        for name in ["password", " DB_Password ", "my-api--key", "aws.secret.key", "x_token_y", "HTTPS_PROXY"] {
            assert!(is_sensitive_name(name), "{name}");
        }
        for name in ["user", "host", "pass", "api", "key", ""] {
            assert!(!is_sensitive_name(name), "{name}");
        }
    }

    #[test]
    fn secrets_go_in_every_form() {
        let masker = masker(&["p@ss w/rd+1"]);
        for text in ["p@ss w/rd+1", "p%40ss%20w%2Frd%2B1", "p%40ss%20w/rd%2B1", "p%40ss+w%2Frd%2B1"] {
            assert_eq!(masker.mask(&format!("a {text} b")), "a *** b");
        }
        for prefix in ["", "u", "us", "user:", "postgres://user:"] {
            let encoded = STANDARD.encode(format!("{prefix}p@ss w/rd+1 and more"));
            assert!(masker.mask(&encoded).contains(MASK), "{prefix}: {encoded}");
        }
    }

    #[test]
    fn a_quoted_secret_is_hidden_in_json() {
        let masker = masker(&["a\"b\\c\nd"]);
        let text = serde_json::to_string(&json!({"k": "a\"b\\c\nd"})).unwrap();
        assert_eq!(masker.mask(&text), r#"{"k":"***"}"#);
    }

    #[test]
    fn the_lines_of_a_key_are_hidden_one_by_one() {
        let masker = masker(&["-----BEGIN KEY-----\nMIIEabc\nDEFGHIJ\n-----END KEY-----\n"]);
        assert_eq!(masker.mask("line MIIEabc"), "line ***");
        assert_eq!(masker.mask("line DEFGHIJ"), "line ***");
    }

    #[test]
    fn short_values_and_common_words_stay() {
        let masker = masker(&["1234", "airflow", "Airflow", ""]);
        assert_eq!(masker.mask("1234 airflow"), "1234 airflow");
        assert!(matches!(masker.mask("x"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_longer_secret_wins() {
        let masker = masker(&["hunter", "hunter2hunter2"]);
        assert_eq!(masker.mask("hunter2hunter2 hunter"), "*** ***");
    }

    #[test]
    fn values_are_taken_by_name_and_redacted() {
        let masker = Masker::new();
        masker.add_connection(
            Some("topsecret"),
            Some(r#"{"region": "eu-west", "aws": {"secret_key": "abcdefgh"}, "tokens": ["zyxwvu"]}"#),
        );
        assert_eq!(masker.mask("topsecret abcdefgh zyxwvu eu-west"), "*** *** *** eu-west");
        let redacted = masker.redact(&json!({"password": "x", "cmd": ["echo topsecret", 1]}), None);
        assert_eq!(redacted, json!({"password": "***", "cmd": ["echo ***", 1]}));
    }

    #[test]
    fn variables_are_searched_by_their_key_and_their_fields() {
        let masker = Masker::new();
        masker.add_variable("db_password", "hunter22");
        masker.add_variable("greeting", "plain value");
        masker.add_variable("settings", r#"{"Api_Key": "k-12345", "region": "north", "auth": [{"token": "t-12345"}]}"#);
        masker.add_variable("my_secret", r#"{"user": "someone"}"#);
        assert_eq!(masker.mask("hunter22 plain value k-12345 north t-12345"), "*** plain value *** north ***");
        assert_eq!(masker.mask("someone"), MASK);
        let mut value = json!({"a": ["x k-12345", 1]});
        masker.mask_value(&mut value);
        assert_eq!(value, json!({"a": ["x ***", 1]}));
    }

    #[test]
    fn a_secret_cut_in_two_is_hidden_at_every_cut() {
        let masker = masker(&["sécret-word", "secretly"]);
        let text = "a sécret-word, é, secret and secretly b".as_bytes();
        let whole = masker.mask("a sécret-word, é, secret and secretly b").into_owned();
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut stream = masker.stream();
                let mut out = stream.push(&text[..first]);
                out.push_str(&stream.push(&text[first..second]));
                out.push_str(&stream.push(&text[second..]));
                out.push_str(&stream.finish());
                assert_eq!(out, whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_without_a_secret_is_not_held_back() {
        let mut stream = masker(&["topsecret"]).stream();
        assert_eq!(stream.push(b"progress 1\n"), "progress 1\n");
        assert_eq!(stream.push(b"to"), "");
        assert_eq!(stream.push(b"day\n"), "today\n");
    }
}
