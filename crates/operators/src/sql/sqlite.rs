//! SQLite: the library itself steps through the statements of a text.

use futures::TryStreamExt;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column, Connection as _, Either, Executor, Row, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};
use tradewind_types::Connection;

use super::{Rows, SAVEPOINT, ended_transaction, failed};
use crate::{OperatorError, StopSignal};

pub(super) async fn run(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    mut rows: Rows,
    stop: &StopSignal,
) -> Result<Rows, OperatorError> {
    // Airflow keeps the path in the host; a URI with three slashes leaves it in the schema.
    let path = [&connection.host, &connection.schema].into_iter().flatten().find(|path| !path.is_empty()).ok_or_else(
        || OperatorError::Failed(format!("connection: \"{}\" names no database file (host)", connection.conn_id)),
    )?;
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut database = SqliteConnection::connect_with(&options).await.map_err(|error| {
        OperatorError::Failed(format!("cannot open the database of connection \"{}\": {error}", connection.conn_id))
    })?;
    let outcome = tokio::select! {
        _ = stop.requested() => None,
        outcome = transaction(&mut database, sql, parameters, &mut rows) => Some(outcome),
    };
    match outcome {
        Some(Ok(())) => {
            database.close().await.map_err(|error| failed(&error))?;
            Ok(rows)
        }
        // Dropping the connection rolls back.
        Some(Err(error)) => Err(error),
        None => Err(OperatorError::Stopped),
    }
}

async fn transaction(
    database: &mut SqliteConnection,
    sql: &str,
    parameters: &[Value],
    rows: &mut Rows,
) -> Result<(), OperatorError> {
    let run = |error: sqlx::Error| failed(&error);
    database.execute("BEGIN").await.map_err(run)?;
    database.execute(AssertSqlSafe(format!("SAVEPOINT {SAVEPOINT}"))).await.map_err(run)?;
    {
        let text = AssertSqlSafe(sql.to_owned());
        let mut stream = if parameters.is_empty() {
            sqlx::raw_sql(text).fetch_many(&mut *database)
        } else {
            let query = sqlx::query_with(text, arguments(parameters)?).persistent(false);
            Executor::fetch_many(&mut *database, query)
        };
        while let Some(item) = stream.try_next().await.map_err(run)? {
            match item {
                Either::Right(row) => rows.row(|| values(&row))?,
                Either::Left(done) => rows.end(done.rows_affected()),
            }
        }
    }
    if !parameters.is_empty() && rows.statements > 1 {
        return Err(OperatorError::Fatal("sql: parameters need a text of a single statement".to_owned()));
    }
    rows.check()?;
    database.execute(AssertSqlSafe(format!("RELEASE SAVEPOINT {SAVEPOINT}"))).await.map_err(|_| ended_transaction())?;
    database.execute("COMMIT").await.map_err(run)?;
    Ok(())
}

fn arguments(parameters: &[Value]) -> Result<SqliteArguments, OperatorError> {
    use sqlx::Arguments;
    let mut arguments = SqliteArguments::default();
    for value in parameters {
        let added = match value {
            Value::Null => arguments.add(None::<String>),
            Value::Bool(value) => arguments.add(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => arguments.add(whole),
                (None, Some(float)) => arguments.add(float),
                (None, None) => arguments.add(number.to_string()),
            },
            Value::String(text) => arguments.add(text.clone()),
            other => arguments.add(other.to_string()),
        };
        added.map_err(|error| OperatorError::Failed(format!("parameters: {error}")))?;
    }
    Ok(arguments)
}

fn values(row: &SqliteRow) -> Result<Value, OperatorError> {
    let run = |error: sqlx::Error| failed(&error);
    let mut values = Vec::with_capacity(row.len());
    for index in 0..row.len() {
        let (null, kind, declared) = {
            let value = row.try_get_raw(index).map_err(run)?;
            let declared = row.column(index).type_info().name().to_owned();
            (value.is_null(), value.type_info().name().to_owned(), declared)
        };
        values.push(match kind.as_str() {
            _ if null => Value::Null,
            "INTEGER" | "BOOLEAN" if declared == "BOOLEAN" => {
                Value::from(row.try_get_unchecked::<i64, _>(index).map_err(run)? != 0)
            }
            "INTEGER" | "INT4" | "INT8" | "BOOLEAN" => {
                Value::from(row.try_get_unchecked::<i64, _>(index).map_err(run)?)
            }
            "REAL" => {
                let value = row.try_get_unchecked::<f64, _>(index).map_err(run)?;
                // Infinity has no JSON number.
                if value.is_finite() { Value::from(value) } else { Value::from(value.to_string()) }
            }
            "BLOB" => {
                let bytes = row.try_get_unchecked::<Vec<u8>, _>(index).map_err(run)?;
                Value::from(hex(&bytes))
            }
            _ => {
                let bytes = row.try_get_unchecked::<Vec<u8>, _>(index).map_err(run)?;
                Value::from(String::from_utf8_lossy(&bytes).into_owned())
            }
        });
    }
    Ok(Value::Array(values))
}

/// Bytes in PostgreSQL's form, so that both databases answer alike.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}
