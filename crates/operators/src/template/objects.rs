//! The objects with look-ups behind them: `ti`, `var`, `conn`.

use std::sync::Arc;

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, Rest, ValueKind, from_args},
};
use tradewind_types::{Connection, XCOM_RETURN_KEY};

use super::{
    datetime::{DateTime, invalid},
    lookup::{Lookups, or_error, serde},
};
use crate::{TaskContext, XComQuery};

/// `ti`
#[derive(Debug)]
pub(super) struct TaskInstanceObject {
    pub(super) ctx: TaskContext,
    pub(super) lookups: Arc<Lookups>,
}

impl Object for TaskInstanceObject {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let ti = &self.ctx.ti;
        Some(match key {
            "dag_id" => Value::from(ti.dag_id.as_str()),
            "task_id" => Value::from(ti.task_id.as_str()),
            "run_id" => Value::from(ti.run_id.as_str()),
            "map_index" => Value::from(ti.map_index),
            "try_number" => Value::from(ti.try_number),
            "max_tries" => Value::from(ti.max_tries),
            "id" => Value::from(ti.id.to_string()),
            "operator" => Value::from(ti.operator.as_str()),
            "pool" => Value::from(ti.pool.as_str()),
            "pool_slots" => Value::from(ti.pool_slots),
            "queue" => Value::from(ti.queue.as_str()),
            "priority_weight" => Value::from(ti.priority_weight),
            "start_date" => DateTime::optional(ti.start_date),
            _ => return None,
        })
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "xcom_pull" => self.xcom_pull(args),
            "xcom_push" => Err(invalid("ti.xcom_push: a template cannot push XComs")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl TaskInstanceObject {
    /// Airflow's `xcom_pull` (semantics E5): without `map_indexes` all map indexes of each task, a bare value if one
    /// task was asked and exactly one value found; `default` only counts with `map_indexes`.
    fn xcom_pull(&self, args: &[Value]) -> Result<Value, Error> {
        let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
        let mut positional = positional.0.into_iter();
        let mut argument = |name: &str| -> Result<Option<Value>, Error> {
            let named: Option<Value> = kwargs.get::<Option<Value>>(name)?;
            let value = positional.next().or(named);
            Ok(value.filter(|value| !value.is_none() && !value.is_undefined()))
        };
        // The order of Airflow's own signature.
        let task_ids = argument("task_ids")?;
        let dag_id = argument("dag_id")?;
        let key = argument("key")?;
        let include_prior_dates = argument("include_prior_dates")?.is_some_and(|yes| yes.is_true());
        // Keyword-only in Airflow.
        let map_indexes = kwargs.get::<Option<Value>>("map_indexes")?.filter(|value| !value.is_none());
        let default = kwargs.get::<Option<Value>>("default")?;
        let run_id = kwargs.get::<Option<String>>("run_id")?;
        kwargs.assert_all_used()?;

        let text = |what: &str, value: Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| invalid(format!("ti.xcom_pull: {what} is {value}, not a text")))
        };
        let (tasks, single) = match task_ids {
            None => (vec![self.ctx.ti.task_id.to_string()], true),
            Some(ids) if ids.kind() == ValueKind::String => (vec![text("task_ids", ids)?], true),
            Some(ids) => {
                let ids: Result<Vec<String>, Error> = ids.try_iter()?.map(|id| text("task_ids", id)).collect();
                (ids?, false)
            }
        };
        let dag_id = dag_id.map(|id| text("dag_id", id)).transpose()?;
        let key = key.map(|key| text("key", key)).transpose()?;
        let indexes = match &map_indexes {
            None => None,
            Some(value) if value.is_number() => Some(vec![index(value)?]),
            Some(values) => Some(values.try_iter()?.map(|value| index(&value)).collect::<Result<_, _>>()?),
        };
        let single_index = map_indexes.as_ref().is_some_and(Value::is_number);

        let mut found = Vec::new();
        for task_id in tasks {
            let query = XComQuery {
                dag_id: dag_id.clone().unwrap_or_else(|| self.ctx.ti.dag_id.to_string()),
                run_id: run_id.clone().unwrap_or_else(|| self.ctx.ti.run_id.to_string()),
                task_id,
                map_index: None,
                key: key.clone().unwrap_or_else(|| XCOM_RETURN_KEY.to_owned()),
                include_prior_dates,
            };
            let mut values = self.lookups.xcoms(query)?;
            match &indexes {
                None if values.is_empty() => found.push(Value::from(())),
                None => found.extend(values.drain(..).map(|(_, value)| serde(value))),
                Some(indexes) => {
                    for index in indexes {
                        let value = values.iter().find(|(at, _)| at == index);
                        found.push(match value {
                            Some((_, value)) => serde(value),
                            None => default.clone().unwrap_or_else(|| Value::from(())),
                        });
                    }
                }
            }
        }
        let bare = match indexes {
            None => single && found.len() == 1,
            Some(_) => single && single_index,
        };
        Ok(match found.pop() {
            Some(value) if bare => value,
            Some(value) => {
                found.push(value);
                Value::from(found)
            }
            None => Value::from(found),
        })
    }
}

fn index(value: &Value) -> Result<i32, Error> {
    value
        .as_i64()
        .and_then(|index| i32::try_from(index).ok())
        .ok_or_else(|| invalid(format!("ti.xcom_pull: {value} is not a map index")))
}

/// `var.value` or `var.json`
#[derive(Debug)]
pub(super) struct Variables {
    lookups: Arc<Lookups>,
    json: bool,
}

impl Variables {
    /// `var`
    pub(super) fn root(lookups: &Arc<Lookups>) -> Value {
        let of = |json| {
            let lookups = Arc::clone(lookups);
            Value::from_object(Self { lookups, json })
        };
        Value::from_pairs([("value", of(false)), ("json", of(true))])
    }

    fn find(&self, key: &str) -> Result<Option<Value>, Error> {
        let Some(text) = self.lookups.variable(key)? else {
            return Ok(None);
        };
        if !self.json {
            return Ok(Some(Value::from(text)));
        }
        // The value itself may be a secret, so the message does not show it.
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| invalid(format!("the variable \"{key}\" does not hold JSON")))?;
        Ok(Some(serde(value)))
    }

    fn need(&self, key: &str) -> Result<Value, Error> {
        self.find(key)?.ok_or_else(|| invalid(format!("the variable \"{key}\" does not exist")))
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(or_error(self.need(key.as_str()?)))
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (key, default) = get_arguments(args)?;
        match default {
            None => self.need(&key),
            Some(default) => Ok(self.find(&key)?.unwrap_or(default)),
        }
    }
}

/// The arguments of `.get(key, default)`, the default by position or name.
fn get_arguments(args: &[Value]) -> Result<(String, Option<Value>), Error> {
    let (key, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
    let default = match default {
        Some(default) => Some(default),
        None => match kwargs.get::<Option<Value>>("default")? {
            Some(default) => Some(default),
            None => kwargs.get::<Option<Value>>("default_var")?,
        },
    };
    kwargs.assert_all_used()?;
    Ok((key, default))
}

/// `conn`
#[derive(Debug)]
pub(super) struct Connections(pub(super) Arc<Lookups>);

impl Connections {
    fn find(&self, id: &str) -> Result<Option<Value>, Error> {
        let connection = self.0.connection(id)?;
        Ok(connection.map(|connection| connection_value(&connection)))
    }

    fn need(&self, id: &str) -> Result<Value, Error> {
        self.find(id)?.ok_or_else(|| invalid(format!("the connection \"{id}\" does not exist")))
    }
}

fn connection_value(connection: &Connection) -> Value {
    let extra = connection.extra.as_deref().unwrap_or_default();
    let dejson: serde_json::Value = serde_json::from_str(extra).unwrap_or_else(|_| serde_json::json!({}));
    let fields = [
        ("conn_id", Value::from(connection.conn_id.as_str())),
        ("conn_type", Value::from(connection.conn_type.as_str())),
        ("description", serde(&connection.description)),
        ("host", serde(&connection.host)),
        ("schema", serde(&connection.schema)),
        ("login", serde(&connection.login)),
        ("password", serde(&connection.password)),
        ("port", serde(connection.port)),
        ("extra", Value::from(extra)),
        ("extra_dejson", serde(dejson)),
    ];
    Value::from_pairs(fields)
}

impl Object for Connections {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(or_error(self.need(key.as_str()?)))
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (id, default) = get_arguments(args)?;
        match default {
            None => self.need(&id),
            Some(default) => Ok(self.find(&id)?.unwrap_or(default)),
        }
    }
}
