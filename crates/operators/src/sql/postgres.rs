//! PostgreSQL: the simple query protocol, so that the server splits the text and answers in text.

use std::time::Duration;

use futures::TryStreamExt;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column, Connection as _, Either, Executor, PgConnection, Row, TypeInfo, ValueRef,
    postgres::{PgConnectOptions, PgRow, PgSslMode},
};
use tradewind_types::Connection;

use super::{Rows, SAVEPOINT, ended_transaction, failed};
use crate::{OperatorError, StopSignal};

/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long the cancellation of a running statement may take.
const CANCEL: Duration = Duration::from_secs(3);
/// The prepared statement of a text with parameters.
const PREPARED: &str = "tradewind_statement";

pub(super) async fn run(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    mut rows: Rows,
    stop: &StopSignal,
) -> Result<Rows, OperatorError> {
    let options = options(connection)?;
    let connect = tokio::time::timeout(CONNECT, PgConnection::connect_with(&options));
    let mut database = tokio::select! {
        _ = stop.requested() => return Err(OperatorError::Stopped),
        connected = connect => connected
            .map_err(|_| OperatorError::Failed(format!(
                "the database of connection \"{}\" did not answer within {} s",
                connection.conn_id,
                CONNECT.as_secs()
            )))?
            .map_err(|error| OperatorError::Failed(format!(
                "cannot connect to the database of connection \"{}\": {error}",
                connection.conn_id
            )))?,
    };
    let pid: i32 = sqlx::query("SELECT pg_backend_pid()")
        .fetch_one(&mut database)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed(&error))?;
    let outcome = tokio::select! {
        _ = stop.requested() => None,
        outcome = transaction(&mut database, sql, parameters, &mut rows) => Some(outcome),
    };
    match outcome {
        Some(Ok(())) => {
            // It is committed, so a connection that does not close well changes nothing.
            let _ = database.close().await;
            Ok(rows)
        }
        // Dropping the connection rolls back.
        Some(Err(error)) => Err(error),
        None => {
            drop(database);
            // The server would otherwise notice only when the statement ends.
            let cancelled = tokio::time::timeout(CANCEL, cancel(&options, pid)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::warn!(
                    conn_id = connection.conn_id,
                    "could not cancel a running statement; the server will roll it back when it ends"
                );
            }
            Err(OperatorError::Stopped)
        }
    }
}

async fn transaction(
    database: &mut PgConnection,
    sql: &str,
    parameters: &[Value],
    rows: &mut Rows,
) -> Result<(), OperatorError> {
    let run = |error: sqlx::Error| failed(&error);
    database.execute("BEGIN").await.map_err(run)?;
    database.execute(AssertSqlSafe(format!("SAVEPOINT {SAVEPOINT}"))).await.map_err(run)?;
    let text = if parameters.is_empty() {
        sql.to_owned()
    } else {
        // The extended protocol of this statement refuses a text of several; the literals then have the types that
        // the server inferred.
        let prepare = format!("PREPARE {PREPARED} AS {}", sql.trim_end().trim_end_matches(';'));
        sqlx::query(AssertSqlSafe(prepare))
            .persistent(false)
            .execute(&mut *database)
            .await
            .map_err(|error| hint_parameters(&error))?;
        let literals: Result<Vec<String>, OperatorError> = parameters.iter().map(literal).collect();
        format!("EXECUTE {PREPARED} ({})", literals?.join(", "))
    };
    {
        let mut stream = sqlx::raw_sql(AssertSqlSafe(text)).fetch_many(&mut *database);
        while let Some(item) = stream.try_next().await.map_err(run)? {
            match item {
                Either::Right(row) => rows.row(|| values(&row))?,
                Either::Left(done) => rows.end(done.rows_affected()),
            }
        }
    }
    rows.check()?;
    database.execute(AssertSqlSafe(format!("RELEASE SAVEPOINT {SAVEPOINT}"))).await.map_err(|_| ended_transaction())?;
    database.execute("COMMIT").await.map_err(run)?;
    Ok(())
}

fn hint_parameters(error: &sqlx::Error) -> OperatorError {
    match failed(error) {
        OperatorError::Failed(message) => OperatorError::Failed(format!(
            "{message} (parameters need a single SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES statement)"
        )),
        other => other,
    }
}

async fn cancel(options: &PgConnectOptions, pid: i32) -> Result<(), sqlx::Error> {
    let mut database = PgConnection::connect_with(options).await?;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut database).await?;
    database.close().await
}

fn options(connection: &Connection) -> Result<PgConnectOptions, OperatorError> {
    let present = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let user = present(&connection.login)
        .ok_or_else(|| OperatorError::Failed(format!("connection: \"{}\" has no login", connection.conn_id)))?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(connection.host.as_deref().filter(|host| !host.is_empty()).unwrap_or("localhost"))
        .port(connection.port.unwrap_or(5432))
        .database(&present(&connection.schema).unwrap_or_else(|| user.clone()))
        .username(&user)
        .application_name("tradewind sql operator");
    if let Some(password) = present(&connection.password) {
        options = options.password(&password);
    }
    let extra: Value = match connection.extra.as_deref().filter(|extra| !extra.trim().is_empty()) {
        None => Value::Null,
        Some(extra) => serde_json::from_str(extra).map_err(|_| {
            OperatorError::Failed(format!("connection: the extra of \"{}\" is not JSON", connection.conn_id))
        })?,
    };
    if let Some(mode) = extra["sslmode"].as_str() {
        options = options.ssl_mode(mode.parse::<PgSslMode>().map_err(|_| {
            OperatorError::Failed(format!(
                "connection: the sslmode \"{mode}\" of \"{}\" is unknown",
                connection.conn_id
            ))
        })?);
    }
    if let Some(path) = extra["sslrootcert"].as_str() {
        options = options.ssl_root_cert(path);
    }
    if let Some(path) = extra["sslcert"].as_str() {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = extra["sslkey"].as_str() {
        options = options.ssl_client_key(path);
    }
    if let Some(text) = extra["options"].as_str() {
        // `-c name=value` pairs, as libpq takes them.
        for setting in text.split("-c").map(str::trim).filter(|setting| !setting.is_empty()) {
            if let Some((name, value)) = setting.split_once('=') {
                options = options.options([(name.trim(), value.trim())]);
            }
        }
    }
    Ok(options)
}

/// A value as a literal of unknown type, quoted as libpq does.
fn literal(value: &Value) -> Result<String, OperatorError> {
    let text = match value {
        Value::Null => return Ok("NULL".to_owned()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains('\0') {
        return Err(OperatorError::Failed("parameters: a value contains a NUL character".to_owned()));
    }
    let quoted = text.replace('\'', "''");
    Ok(if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") })
}

fn values(row: &PgRow) -> Result<Value, OperatorError> {
    let mut values = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(index).map_err(|error| failed(&error))?;
        if value.is_null() {
            values.push(Value::Null);
            continue;
        }
        let text = value
            .as_str()
            .map_err(|error| OperatorError::Failed(format!("sql: column {} is no text: {error}", column.name())))?;
        values.push(json(column.type_info().name(), text));
    }
    Ok(Value::Array(values))
}

/// A value in PostgreSQL's text form as JSON: booleans, numbers, JSON and arrays of them as such, all else as text.
fn json(kind: &str, text: &str) -> Value {
    if let Some(element) = kind.strip_suffix("[]") {
        return array(element, text).unwrap_or_else(|| Value::from(text));
    }
    match kind {
        "BOOL" => Value::from(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => number(text, text.parse::<i64>().ok().map(Value::from)),
        "FLOAT4" | "FLOAT8" => number(text, text.parse::<f64>().ok().map(Value::from)),
        "NUMERIC" => number(text, exact(text)),
        "JSON" | "JSONB" => number(text, serde_json::from_str(text).ok()),
        _ => Value::from(text),
    }
}

/// What was read, or the text as it stands: `NaN` and `Infinity` have no JSON number.
fn number(text: &str, value: Option<Value>) -> Value {
    match value {
        None => Value::from(text),
        Some(Value::Null) if text != "null" => Value::from(text),
        Some(value) => value,
    }
}

/// A decimal as a number when a double holds it exactly enough to print the same digits, i.e. up to 15 of them.
fn exact(text: &str) -> Option<Value> {
    let digits = text.chars().filter(char::is_ascii_digit).skip_while(|digit| *digit == '0').count();
    if digits > 15 {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(Value::from(whole)),
        Err(_) => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::from),
    }
}

/// An array in text form, e.g. `{1,NULL,"a b"}`; `None` when it has bounds of its own.
fn array(element: &str, text: &str) -> Option<Value> {
    let mut characters = text.chars().peekable();
    let value = array_level(element, &mut characters)?;
    characters.next().is_none().then_some(value)
}

fn array_level(element: &str, from: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Value> {
    if from.next()? != '{' {
        return None;
    }
    let mut items = Vec::new();
    if from.peek() == Some(&'}') {
        from.next();
        return Some(Value::Array(items));
    }
    loop {
        match from.peek()? {
            '{' => items.push(array_level(element, from)?),
            '"' => {
                from.next();
                let mut text = String::new();
                loop {
                    match from.next()? {
                        '"' => break,
                        '\\' => text.push(from.next()?),
                        character => text.push(character),
                    }
                }
                items.push(json(element, &text));
            }
            _ => {
                let mut text = String::new();
                while !matches!(from.peek()?, ',' | '}') {
                    text.push(from.next()?);
                }
                items.push(if text == "NULL" { Value::Null } else { json(element, &text) });
            }
        }
        match from.next()? {
            ',' => {}
            '}' => return Some(Value::Array(items)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_are_quoted() {
        let of = |value: Value| literal(&value).unwrap();
        assert_eq!(of(json!("it's")), "'it''s'");
        assert_eq!(of(json!(r"a\' OR 1=1 --")), r" E'a\\'' OR 1=1 --'");
        assert_eq!(of(json!(null)), "NULL");
        assert_eq!(of(json!(5)), "'5'");
        assert_eq!(of(json!({"a": "it's"})), r#"'{"a":"it''s"}'"#);
        assert!(literal(&json!("a\0b")).is_err());
    }

    #[test]
    fn text_values_become_json() {
        assert_eq!(super::json("BOOL", "t"), json!(true));
        assert_eq!(super::json("INT8", "-7"), json!(-7));
        assert_eq!(super::json("FLOAT8", "1.5"), json!(1.5));
        assert_eq!(super::json("FLOAT8", "NaN"), json!("NaN"));
        assert_eq!(super::json("NUMERIC", "12.50"), json!(12.5));
        assert_eq!(super::json("NUMERIC", "12345678901234567890.5"), json!("12345678901234567890.5"));
        assert_eq!(super::json("JSONB", "null"), json!(null));
        assert_eq!(super::json("JSONB", r#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(super::json("TIMESTAMPTZ", "2026-01-01 00:00:00+00"), json!("2026-01-01 00:00:00+00"));
        assert_eq!(super::json("INT4[]", "{1,NULL,3}"), json!([1, null, 3]));
        assert_eq!(super::json("TEXT[]", r#"{a,"b, \"c\"",NULL,"NULL"}"#), json!(["a", "b, \"c\"", null, "NULL"]));
        assert_eq!(super::json("INT4[]", "{{1,2},{3,4}}"), json!([[1, 2], [3, 4]]));
        assert_eq!(super::json("INT4[]", "[0:1]={1,2}"), json!("[0:1]={1,2}"));
        assert_eq!(super::json("INT4[]", "{}"), json!([]));
    }
}
