//! The operator trait, how an operator ends, and the choice of the operator by its options.

use async_trait::async_trait;
use serde_json::Value;
use tradewind_types::{NativeOperator, Timestamp, XCOM_LIMITS};

use crate::{IoError, OperatorIo, TaskContext, expand};

/// How an operator returned.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
    /// It succeeded, with the value for the XCom `return_value` if there is one.
    Success(Option<Value>),
    /// A sensor in reschedule mode wants its next poke at this instant.
    Reschedule(Timestamp),
}

/// Why an operator did not return (semantics E5, outcome of the exception).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// It failed; the retry rule decides.
    #[error("{0}")]
    Failed(String),
    /// It failed for good, whatever retries are left (Airflow's `AirflowFailException`, `AirflowSensorTimeout`).
    #[error("{0}")]
    Fatal(String),
    /// It skipped itself.
    #[error("{0}")]
    Skipped(String),
    /// It was stopped from outside, and nothing of it runs any more.
    #[error("the task was stopped")]
    Stopped,
}

impl From<IoError> for OperatorError {
    fn from(error: IoError) -> Self {
        Self::Failed(error.0)
    }
}

/// The result of an attempt of a native operator.
pub type OperatorResult = Result<Finished, OperatorError>;

/// Something that runs on a worker. The options of each native operator are one.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Renders the templated fields and does the work. When the stop signal of `ctx` comes, it ends all it started
    /// before it returns. Dropping the future kills its processes, too.
    ///
    /// # Errors
    /// Why the task did not succeed.
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult;
}

/// Runs a native operator.
///
/// # Errors
/// Why the task did not succeed; a return value above the limit is a failure.
pub async fn run(operator: &NativeOperator, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
    let operator = expand::instance(operator, ctx, io).await?;
    let finished = match &*operator {
        NativeOperator::Noop(options) => options.run(ctx, io).await,
        NativeOperator::Bash(options) => options.run(ctx, io).await,
        NativeOperator::Http(options) => options.run(ctx, io).await,
        NativeOperator::Sql(options) => options.run(ctx, io).await,
        NativeOperator::FileSensor(options) => options.run(ctx, io).await,
        NativeOperator::TimeSensor(options) => options.run(ctx, io).await,
        NativeOperator::TimeDeltaSensor(options) => options.run(ctx, io).await,
        NativeOperator::DateTimeSensor(options) => options.run(ctx, io).await,
    }?;
    match finished {
        Finished::Success(Some(_)) if !ctx.task.do_xcom_push => Ok(Finished::Success(None)),
        Finished::Success(Some(value)) => {
            check_size(&value, ctx.xcom_max_bytes)?;
            Ok(Finished::Success(Some(value)))
        }
        other => Ok(other),
    }
}

/// Refuses a return value whose JSON is larger than `max` bytes.
fn check_size(value: &Value, max: u64) -> Result<(), OperatorError> {
    let size = match value {
        // The common small values need no serialization to know that they fit.
        Value::Null | Value::Bool(_) | Value::Number(_) => return Ok(()),
        Value::String(text) if (text.len() as u64).saturating_mul(6) + 2 <= max => return Ok(()),
        value => value.to_string().len() as u64,
    };
    if size <= max {
        return Ok(());
    }
    Err(too_large(size, max))
}

/// The failure of a return value above the limit.
pub(crate) fn too_large(size: u64, max: u64) -> OperatorError {
    OperatorError::Failed(format!(
        "the return value has {size} bytes as JSON, more than the {max} that an XCom may have here \
         ({XCOM_LIMITS}); write it to a file or object store and return its address, or set do_xcom_push: false"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_the_json_text() {
        assert!(check_size(&Value::from("abc"), 5).is_ok());
        assert!(check_size(&Value::from("abcd"), 5).is_err());
        assert!(check_size(&serde_json::json!([1, 2]), 5).is_ok());
        let error = check_size(&serde_json::json!([1, 22]), 5).unwrap_err();
        assert!(error.to_string().contains("xcom.inline_max_bytes"), "{error}");
    }
}
