//! A mapped native task: the values that one instance takes from what its task is mapped over.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tradewind_types::{Expand, ExpandArg, NativeOperator, TaskId};

use crate::{OperatorError, OperatorIo, TaskContext, XComQuery};

/// The operator of one instance: each argument of `expand` in its place. Without `expand`, the operator as it is.
///
/// # Errors
/// What the task is mapped over does not fit: a value that is missing, no list, or shorter than the engine was told, or an
/// option that the operator does not have.
pub(crate) async fn instance<'o>(
    operator: &'o NativeOperator,
    ctx: &TaskContext,
    io: &dyn OperatorIo,
) -> Result<Cow<'o, NativeOperator>, OperatorError> {
    let Some(expand) = &ctx.task.expand else {
        return Ok(Cow::Borrowed(operator));
    };
    let index = usize::try_from(ctx.ti.map_index)
        .map_err(|_| fatal("the task is mapped, but this instance has no map index".to_owned()))?;
    let values = Values { ctx, io };
    let arguments = values.of(expand, index).await?;
    let mut options = serde_json::to_value(operator).map_err(|error| fatal(error.to_string()))?;
    for (name, value) in arguments {
        put(&mut options, &name, value);
    }
    let operator = serde_json::from_value(options)
        .map_err(|error| fatal(format!("expand: what map index {index} gets does not fit the operator: {error}")))?;
    Ok(Cow::Owned(operator))
}

/// Puts an option in its place. A number goes where the option is a text: lists of ids are common.
fn put(options: &mut Value, name: &str, value: Value) {
    let is_text = options.get(name).is_some_and(Value::is_string);
    options[name] = match value {
        Value::Number(number) if is_text => Value::String(number.to_string()),
        other => other,
    };
}

struct Values<'a> {
    ctx: &'a TaskContext,
    io: &'a dyn OperatorIo,
}

impl Values<'_> {
    async fn of(&self, expand: &Expand, index: usize) -> Result<Vec<(String, Value)>, OperatorError> {
        match expand {
            Expand::Rows { rows } => match self.list(rows).await?.into_iter().nth(index) {
                Some(Value::Object(row)) => Ok(row.into_iter().collect()),
                Some(other) => {
                    Err(fatal(format!("expand: entry {index} is {}, not a mapping of options", kind(&other))))
                }
                None => Err(too_short(index)),
            },
            Expand::Product { arguments } => {
                let mut lists = Vec::with_capacity(arguments.len());
                for (name, argument) in arguments {
                    lists.push((name, self.list(argument).await?));
                }
                // The last argument is the fastest.
                let mut rest = index;
                let mut picked = Vec::with_capacity(lists.len());
                for (name, mut list) in lists.into_iter().rev() {
                    let length = list.len();
                    if length == 0 {
                        return Err(too_short(index));
                    }
                    picked.push((name.clone(), list.swap_remove(rest % length)));
                    rest /= length;
                }
                if rest > 0 { Err(too_short(index)) } else { Ok(picked) }
            }
        }
    }

    /// Everything that an argument maps over.
    async fn list(&self, argument: &ExpandArg) -> Result<Vec<Value>, OperatorError> {
        match argument {
            ExpandArg::Literal { values: Some(values), .. } => Ok(values.clone()),
            ExpandArg::Literal { values: None, .. } => {
                Err(fatal("expand: the values are not known to the scheduler; parse the DAG file again".to_owned()))
            }
            ExpandArg::XCom { task_id, key } => self.xcom(task_id, key).await,
            ExpandArg::Map { .. } => Err(fatal("expand: map() needs Python; a native task has none".to_owned())),
            ExpandArg::Concat { args } => {
                let mut joined = Vec::new();
                for argument in args {
                    joined.extend(Box::pin(self.list(argument)).await?);
                }
                Ok(joined)
            }
            ExpandArg::Zip { args, fill } => {
                let mut lists = Vec::with_capacity(args.len());
                for argument in args {
                    lists.push(Box::pin(self.list(argument)).await?);
                }
                let lengths = lists.iter().map(Vec::len);
                let length = if *fill { lengths.max() } else { lengths.min() }.unwrap_or(0);
                let entry = |at: usize| lists.iter().map(|list| list.get(at).cloned().unwrap_or(Value::Null)).collect();
                Ok((0..length).map(entry).collect())
            }
        }
    }

    /// The XCom of a task as a list. What an upstream task left is data: it is not rendered again.
    async fn xcom(&self, task_id: &TaskId, key: &str) -> Result<Vec<Value>, OperatorError> {
        let query = XComQuery {
            dag_id: self.ctx.ti.dag_id.to_string(),
            run_id: self.ctx.ti.run_id.to_string(),
            task_id: task_id.to_string(),
            map_index: None,
            key: key.to_owned(),
            include_prior_dates: false,
        };
        let found = self.io.xcoms(&query).await?;
        if found.iter().any(|(map_index, _)| *map_index >= 0) {
            return Ok(found.into_iter().map(|(_, value)| verbatim(value)).collect());
        }
        match found.into_iter().next() {
            Some((_, Value::Array(items))) => Ok(items.into_iter().map(verbatim).collect()),
            // As Airflow maps over a dict: its pairs.
            Some((_, Value::Object(fields))) => Ok(fields
                .into_iter()
                .map(|(name, value)| Value::Array(vec![verbatim(Value::String(name)), verbatim(value)]))
                .collect()),
            Some((_, other)) => {
                Err(fatal(format!("expand: the XCom \"{key}\" of {task_id} is {}, not a list", kind(&other))))
            }
            None => Err(fatal(format!("expand: the task {task_id} has left no XCom \"{key}\""))),
        }
    }
}

/// Marks texts that look like templates, so that rendering gives them back as they are.
fn verbatim(value: Value) -> Value {
    match value {
        Value::String(text) if ["{{", "{%", "{#"].iter().any(|open| text.contains(open)) => {
            // A template that consists of this text as a literal; the braces are written so that none opens anything.
            let literal = Value::String(text).to_string().replace('{', "\\u007b").replace('}', "\\u007d");
            Value::String(format!("{{{{ {literal} }}}}"))
        }
        Value::Array(items) => items.into_iter().map(verbatim).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, field)| (name, verbatim(field))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn fatal(message: String) -> OperatorError {
    OperatorError::Fatal(message)
}

fn too_short(index: usize) -> OperatorError {
    fatal(format!(
        "expand: there is no entry for map index {index}; did an upstream task run again with another result?"
    ))
}
