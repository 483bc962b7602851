//! What tasks and task groups are mapped over (`encode_expand_input`, `serialize_xcom_arg`). Only lengths matter here: the
//! Task SDK takes the values from the DAG file and from the XComs, in the order that the file gives.

use serde_json::Value;
use tradewind_types::{Expand, ExpandArg, TaskId};

use super::value::unwrapped;

/// Reads `{"type": …, "value": …}`.
pub(super) fn read_expand(input: &Value) -> Result<Expand, String> {
    let kind = input.get("type").and_then(Value::as_str).unwrap_or_default();
    let value = input.get("value").ok_or_else(|| format!("its expand input has no value: {input}"))?;
    match kind {
        "dict-of-lists" => {
            let arguments = unwrapped(value)
                .as_object()
                .ok_or_else(|| format!("its expand input is no mapping of arguments: {value}"))?;
            if arguments.is_empty() {
                return Err("expand() is called without arguments; name at least one list to map over".to_owned());
            }
            let arguments = arguments
                .iter()
                .map(|(name, value)| {
                    let argument = read_argument(value).ok_or_else(|| {
                        format!("expand({name}=...) maps over {value}, which is neither a list, a dict nor the result of a task")
                    })?;
                    Ok((name.clone(), argument))
                })
                .collect::<Result<_, String>>()?;
            Ok(Expand::Product { arguments })
        }
        "list-of-dicts" => {
            let rows = read_argument(value).ok_or_else(|| {
                format!("expand_kwargs() maps over {value}, which is neither a list nor the result of a task")
            })?;
            Ok(Expand::Rows { rows })
        }
        other => Err(format!("its expand input is of the unknown kind \"{other}\"")),
    }
}

fn read_argument(value: &Value) -> Option<ExpandArg> {
    if value.get("__type").and_then(Value::as_str) == Some("xcomref") {
        return read_xcom(value.get("__var")?);
    }
    // Lists as they are; tuples, sets and dicts in wrappers.
    let length = match unwrapped(value) {
        Value::Array(items) => items.len(),
        Value::Object(fields) if fields.get("__type").is_none() => fields.len(),
        _ => return None,
    };
    Some(ExpandArg::Literal { length: u64::try_from(length).ok()?, values: None })
}

fn read_xcom(data: &Value) -> Option<ExpandArg> {
    let args = || -> Option<Vec<ExpandArg>> {
        data.get("args")?.as_array()?.iter().map(|arg| read_xcom(unwrapped(arg))).collect()
    };
    match data.get("type").and_then(Value::as_str).unwrap_or_default() {
        "" => Some(ExpandArg::XCom {
            task_id: TaskId::from(data.get("task_id")?.as_str()?),
            key: data.get("key")?.as_str()?.to_owned(),
        }),
        "map" => Some(ExpandArg::Map { arg: Box::new(read_xcom(unwrapped(data.get("arg")?))?) }),
        "concat" => Some(ExpandArg::Concat { args: args()? }),
        // A fill value of None is one, too.
        "zip" => Some(ExpandArg::Zip { args: args()?, fill: data.get("fillvalue").is_some() }),
        _ => None,
    }
}
