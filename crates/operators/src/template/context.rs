//! The names that a template sees (semantics E1).

use std::sync::Arc;

use jiff::tz::TimeZone;
use minijinja::{
    Value,
    value::{Enumerator, Object},
};
use tradewind_types::{DagRun, Timestamp};

use super::{
    datetime::DateTime,
    lookup::{Lookups, or_error, serde},
    macros::{Macros, date_format},
    objects::{Connections, TaskInstanceObject, Variables},
};
use crate::{DagFacts, TaskContext};

/// Names that are always there.
const ALWAYS: &[&str] = &[
    "conn",
    "dag",
    "dag_run",
    "inlets",
    "macros",
    "outlets",
    "params",
    "prev_end_date_success",
    "prev_start_date_success",
    "run_id",
    "task",
    "task_instance",
    "task_instance_key_str",
    "ti",
    "var",
];
/// Names that a run without a logical date lacks.
const WITH_LOGICAL_DATE: &[&str] = &[
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "logical_date",
    "prev_data_interval_end_success",
    "prev_data_interval_start_success",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
];

/// The root of the context. Most values are made when a template names them.
#[derive(Debug)]
pub(super) struct Context {
    ctx: TaskContext,
    lookups: Arc<Lookups>,
}

impl Context {
    pub(super) fn new(ctx: &TaskContext, lookups: &Arc<Lookups>) -> Self {
        Self { ctx: ctx.clone(), lookups: Arc::clone(lookups) }
    }

    fn dated(&self, name: &str, logical_date: Timestamp) -> Option<Value> {
        let run = &self.ctx.run;
        Some(match name {
            "logical_date" => DateTime::value(logical_date),
            "data_interval_start" => DateTime::optional(run.data_interval_start),
            "data_interval_end" => DateTime::optional(run.data_interval_end),
            "prev_data_interval_start_success" => self.previous(|run| run.data_interval_start),
            "prev_data_interval_end_success" => self.previous(|run| run.data_interval_end),
            "ds" | "ds_nodash" | "ts" | "ts_nodash" | "ts_nodash_with_tz" => {
                Value::from(date_format(&logical_date.to_zoned(TimeZone::UTC), name))
            }
            _ => return None,
        })
    }

    fn previous(&self, field: impl Fn(&DagRun) -> Option<Timestamp>) -> Value {
        or_error(self.lookups.previous_success().map(|run| DateTime::optional(run.as_deref().and_then(field))))
    }

    fn key_str(&self) -> String {
        let (ti, run) = (&self.ctx.ti, &self.ctx.run);
        let last = match run.logical_date {
            Some(at) => date_format(&at.to_zoned(TimeZone::UTC), "ds_nodash"),
            None => run.run_id.to_string(),
        };
        format!("{}__{}__{last}", ti.dag_id, ti.task_id)
    }

    fn dag(&self) -> Value {
        let DagFacts { timezone, owners, params, rel_path } = &*self.ctx.dag;
        serde(serde_json::json!({
            "dag_id": self.ctx.run.dag_id,
            "timezone": timezone,
            "owner": owners.join(", "),
            "params": params,
            "fileloc": rel_path,
            "relative_fileloc": rel_path,
        }))
    }

    fn task(&self) -> Value {
        let task = &self.ctx.task;
        serde(serde_json::json!({
            "task_id": task.task_id,
            "dag_id": self.ctx.run.dag_id,
            "task_type": task.operator.name(),
            "operator_name": task.operator.name(),
            "owner": task.owner,
            "queue": task.queue,
            "pool": task.pool,
            "pool_slots": task.pool_slots,
            "priority_weight": task.priority_weight,
            "trigger_rule": task.trigger_rule,
            "retries": task.retry.retries,
            "upstream_task_ids": task.upstream,
            "params": self.ctx.dag.params,
        }))
    }

    fn dag_run(&self) -> Value {
        let run = &self.ctx.run;
        let at = DateTime::optional;
        let fields: Vec<(&str, Value)> = vec![
            ("dag_id", Value::from(run.dag_id.as_str())),
            ("run_id", Value::from(run.run_id.as_str())),
            ("run_type", Value::from(run.run_type.as_str())),
            ("state", Value::from(run.state.as_str())),
            ("conf", serde(&run.conf)),
            ("logical_date", at(run.logical_date)),
            ("data_interval_start", at(run.data_interval_start)),
            ("data_interval_end", at(run.data_interval_end)),
            ("run_after", at(Some(run.run_after))),
            ("queued_at", at(Some(run.queued_at))),
            ("start_date", at(run.start_date)),
            ("end_date", at(run.end_date)),
            ("clear_number", Value::from(run.clear_number)),
            ("triggering_user_name", serde(&run.triggered_by)),
        ];
        Value::from_pairs(fields)
    }
}

impl Object for Context {
    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        Some(match name {
            "ti" | "task_instance" => {
                Value::from_object(TaskInstanceObject { ctx: self.ctx.clone(), lookups: Arc::clone(&self.lookups) })
            }
            "run_id" => Value::from(self.ctx.run.run_id.as_str()),
            "dag_run" => self.dag_run(),
            "dag" => self.dag(),
            "task" => self.task(),
            "params" => serde(&self.ctx.dag.params),
            "var" => Variables::root(&self.lookups),
            "conn" => Value::from_object(Connections(Arc::clone(&self.lookups))),
            "macros" => Value::from_object(Macros),
            "inlets" | "outlets" => Value::from(Vec::<Value>::new()),
            "task_instance_key_str" => Value::from(self.key_str()),
            "prev_start_date_success" => self.previous(|run| run.start_date),
            "prev_end_date_success" => self.previous(|run| run.end_date),
            name => return self.dated(name, self.ctx.run.logical_date?),
        })
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // Without the lazy ones: error reports list the context and must not make look-ups.
        let dated = self.ctx.run.logical_date.map_or(&[][..], |_| WITH_LOGICAL_DATE);
        let names = ALWAYS.iter().chain(dated).filter(|name| !name.starts_with("prev_"));
        Enumerator::Values(names.map(|name| Value::from(*name)).collect())
    }
}
