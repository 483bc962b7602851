//! Connections as URIs, in Airflow's reading of them (`airflow.models.connection`).

use serde_json::{Map, Value};

use super::ConnectionEntry;
use crate::errors::CliError;

/// Reads `type://login:password@host:port/schema?name=value`. As in Airflow, dashes of the type become underscores,
/// `postgresql` means `postgres`, parameters become extras, and `__extra__` holds them as JSON.
///
/// # Errors
/// It is not such a URI; the message does not repeat it, since it may hold a password.
pub(super) fn parse(uri: &str) -> Result<ConnectionEntry, CliError> {
    let bad = |why: &str| {
        CliError::usage(format!("the connection URI is not usable: {why}"))
            .with_hint("write TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA?NAME=VALUE, with special characters as %XX")
    };
    let (scheme, rest) = uri.split_once(':').ok_or_else(|| bad("it has no type"))?;
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.')) {
        return Err(bad("its type has characters that a type cannot have"));
    }
    let rest = rest.strip_prefix("//").ok_or_else(|| bad("\"//\" is missing after its type"))?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let (login, password) = user.split_once(':').map_or((user, None), |(login, password)| (login, Some(password)));
    let (host, port) = split_port(host).ok_or_else(|| bad("its port is not a number up to 65535"))?;

    let decode = |text: &str| decode(text).ok_or_else(|| bad("it has a % that is not followed by two hex digits"));
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let conn_type = match scheme.replace('-', "_").as_str() {
        "postgresql" => "postgres".to_owned(),
        other => other.to_lowercase(),
    };
    let extra = query.map(|query| extras(query, &decode)).transpose()?.flatten();
    Ok(ConnectionEntry {
        conn_type,
        description: None,
        host: some(decode(host)?),
        login: some(decode(login)?),
        password: password.map(decode).transpose()?.and_then(some),
        schema: some(decode(path)?),
        port,
        extra,
    })
}

fn extras(query: &str, decode: &impl Fn(&str) -> Result<String, CliError>) -> Result<Option<Value>, CliError> {
    let mut extras = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?);
        if name == "__extra__" {
            return serde_json::from_str::<Value>(&value)
                .ok()
                .filter(Value::is_object)
                .map(Some)
                .ok_or_else(|| CliError::usage("the connection URI is not usable: __extra__ is not a JSON object"));
        }
        extras.insert(name, Value::String(value));
    }
    Ok((!extras.is_empty()).then_some(Value::Object(extras)))
}

/// Host and port; the port is none when there is none, and the whole none when it is wrong.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand in brackets.
    let from = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[from..].rfind(':') {
        None => Some((host, None)),
        Some(at) => {
            let (name, port) = host.split_at(from + at);
            match &port[1..] {
                "" => Some((name, None)),
                digits => digits.parse().ok().map(|port| (name, Some(port))),
            }
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_read_as_airflow_reads_them() {
        let entry = parse("postgresql://us%40er:p%2Fw@db.internal:5432/app?sslmode=require&x=a+b").unwrap();
        assert_eq!(
            entry,
            ConnectionEntry {
                conn_type: "postgres".to_owned(),
                host: Some("db.internal".to_owned()),
                login: Some("us@er".to_owned()),
                password: Some("p/w".to_owned()),
                schema: Some("app".to_owned()),
                port: Some(5432),
                extra: Some(serde_json::json!({"sslmode": "require", "x": "a b"})),
                description: None,
            }
        );
        let entry = parse("google-cloud-platform://?__extra__=%7B%22project%22%3A%20%22p%22%7D").unwrap();
        assert_eq!((entry.conn_type.as_str(), entry.host), ("google_cloud_platform", None));
        assert_eq!(entry.extra, Some(serde_json::json!({"project": "p"})));
        let entry = parse("http://[::1]:8080").unwrap();
        assert_eq!((entry.host.as_deref(), entry.port), (Some("[::1]"), Some(8080)));
        assert_eq!(parse("sqlite:///tmp/x.db").unwrap().schema.as_deref(), Some("tmp/x.db"));
    }

    #[test]
    fn bad_uris_are_refused_without_their_password() {
        for bad in ["nonsense", "p://u:secret@h:99999", "p://u:sec%zzret@h", "a b://h", "p:u:secret@h", "://x"] {
            let error = parse(bad).unwrap_err();
            assert!(!error.message.contains("secret"), "{bad}: {error}");
        }
    }
}
