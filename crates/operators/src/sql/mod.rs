//! `sql`: statements in one transaction, the rows of the last one as the return value.
//!
//! The text is never split here: the database itself tells where a statement ends, so quotes, comments, dollar quoting
//! and function bodies cannot be misread. A savepoint around the text shows whether it ended the transaction.

mod postgres;
mod sqlite;

use async_trait::async_trait;
use serde_json::Value;
use tradewind_types::SqlOptions;

use crate::{
    Finished, LogLevel, Operator, OperatorError, OperatorIo, OperatorResult, Renderer, TaskContext, operator::too_large,
};

/// The savepoint that is lost when the text commits or rolls back.
const SAVEPOINT: &str = "tradewind_task";

#[async_trait]
impl Operator for SqlOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let mut renderer = Renderer::new(ctx, io);
        let sql = renderer.text("sql", &self.sql).await?;
        let mut parameters = Vec::with_capacity(self.parameters.len());
        for (index, value) in self.parameters.iter().enumerate() {
            parameters.push(renderer.json(&format!("parameters[{index}]"), value).await?);
        }
        renderer.report().await?;
        if sql.contains('\0') {
            return Err(OperatorError::Failed("sql: the text contains a NUL character".to_owned()));
        }

        let id = &self.connection;
        let connection = io
            .connection(id)
            .await?
            .ok_or_else(|| OperatorError::Failed(format!("connection: there is no connection \"{id}\"")))?;
        let rows = Rows::new(self.max_rows, ctx);
        let rows = match connection.conn_type.as_str() {
            "postgres" | "postgresql" => postgres::run(&connection, &sql, &parameters, rows, &ctx.stop).await?,
            "sqlite" => sqlite::run(&connection, &sql, &parameters, rows, &ctx.stop).await?,
            other => {
                return Err(OperatorError::Fatal(format!(
                    "connection: \"{id}\" is of type \"{other}\"; the sql operator knows postgres and sqlite"
                )));
            }
        };
        io.log(LogLevel::Info, "tradewind.sql", vec![rows.summary()]).await;
        Ok(Finished::Success(Some(Value::Array(rows.rows))))
    }
}

/// The rows of the statement that runs, as far as they are kept.
struct Rows {
    rows: Vec<Value>,
    seen: u64,
    affected: u64,
    statements: u64,
    /// Bytes of the kept rows, roughly their JSON.
    bytes: u64,
    max_rows: u32,
    max_bytes: u64,
    keep: bool,
    ended: bool,
}

impl Rows {
    fn new(max_rows: u32, ctx: &TaskContext) -> Self {
        Self {
            rows: Vec::new(),
            seen: 0,
            affected: 0,
            statements: 0,
            bytes: 0,
            max_rows,
            max_bytes: ctx.xcom_max_bytes,
            keep: ctx.task.do_xcom_push,
            ended: false,
        }
    }

    /// A row of the statement that runs.
    fn row(&mut self, columns: impl FnOnce() -> Result<Value, OperatorError>) -> Result<(), OperatorError> {
        self.begin();
        self.seen += 1;
        if self.keep && self.seen <= u64::from(self.max_rows) {
            let row = columns()?;
            self.bytes += row.to_string().len() as u64 + 1;
            self.rows.push(row);
        }
        Ok(())
    }

    /// The statement that runs has ended.
    fn end(&mut self, affected: u64) {
        self.begin();
        self.affected = affected;
        self.statements += 1;
        self.ended = true;
    }

    fn begin(&mut self) {
        if std::mem::take(&mut self.ended) {
            self.rows.clear();
            self.seen = 0;
            self.bytes = 0;
        }
    }

    /// Whether all fits into an XCom.
    fn check(&self) -> Result<(), OperatorError> {
        if self.bytes > self.max_bytes {
            return Err(too_large(self.bytes, self.max_bytes));
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let kept = self.rows.len() as u64;
        let mut line = format!(
            "{} statement(s) committed; the last one returned {} row(s) and affected {}",
            self.statements, self.seen, self.affected
        );
        if self.keep && kept < self.seen {
            line.push_str(&format!("; the return value holds the first {kept} (max_rows)"));
        }
        line
    }
}

/// The failure of a statement.
fn failed(error: &sqlx::Error) -> OperatorError {
    OperatorError::Failed(match error.as_database_error() {
        Some(error) => format!("sql: {error}"),
        None => format!("sql: {error}"),
    })
}

/// The failure of a text that ended the transaction around it.
fn ended_transaction() -> OperatorError {
    OperatorError::Fatal(
        "sql: the text ends the transaction that the operator runs it in; leave out BEGIN, COMMIT and ROLLBACK"
            .to_owned(),
    )
}
