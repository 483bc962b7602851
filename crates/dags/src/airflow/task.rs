//! Tasks of a serialized DAG.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tradewind_types::{Operator, RetrySpec, TaskId, TaskSpec, TriggerRule, WeightRule, did_you_mean};

use super::value::Fields;

/// Reads all tasks, in the order of their definition.
pub(super) fn read_tasks(
    dag: &Fields<'_>,
    defaults: &Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<Vec<TaskSpec>, String> {
    let nodes = dag.raw("tasks").and_then(Value::as_array).ok_or("the serialized DAG holds no \"tasks\"")?;
    let mut tasks = Vec::with_capacity(nodes.len());
    let mut upstream: BTreeMap<String, Vec<TaskId>> = BTreeMap::new();
    let mut mapped = Vec::new();
    for node in nodes {
        let own = node.get("__var").unwrap_or(node).as_object().ok_or("a serialized task is no object")?;
        let fields = Fields::with_defaults(own, defaults);
        let task_id = fields.text("task_id")?.ok_or("a task has no task_id")?;
        if fields.truth("_is_mapped")?.unwrap_or(false) {
            mapped.push(task_id);
            continue;
        }
        let task =
            read_task(&task_id, &fields, warnings).map_err(|message| format!("the task \"{task_id}\": {message}"))?;
        for downstream in fields.texts("downstream_task_ids")? {
            upstream.entry(downstream).or_default().push(task.task_id.clone());
        }
        tasks.push(task);
    }
    if !mapped.is_empty() {
        return Err(format!(
            "{} {} mapped (expand), which is not supported yet; write one task for each value, or loop in one task",
            quoted(&mapped),
            if mapped.len() == 1 { "is" } else { "are" },
        ));
    }
    for task in &mut tasks {
        if let Some(mut ids) = upstream.remove(task.task_id.as_str()) {
            ids.sort_unstable();
            task.upstream = ids;
        }
    }
    Ok(tasks)
}

fn quoted(ids: &[String]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    match ids.as_slice() {
        [id] => format!("the task {id}"),
        ids => format!("the tasks {}", ids.join(", ")),
    }
}

fn read_task(task_id: &str, fields: &Fields<'_>, warnings: &mut Vec<String>) -> Result<TaskSpec, String> {
    let mut task = TaskSpec::new(task_id, read_operator(fields)?);
    if let Some(rule) = fields.text("trigger_rule")? {
        // Airflow 2's name of a rule that it renamed.
        let rule = if rule == "none_failed_or_skipped" { "none_failed_min_one_success" } else { &rule };
        task.trigger_rule = rule.parse::<TriggerRule>().map_err(|error| {
            let near = did_you_mean(rule, TriggerRule::ALL.iter().map(|rule| rule.as_str()));
            format!("{error}{near}")
        })?;
    }
    if let Some(pool) = fields.text("pool")? {
        task.pool = pool.into();
    }
    if let Some(slots) = fields.count("pool_slots")? {
        task.pool_slots = slots;
    }
    if let Some(queue) = fields.text("queue")? {
        task.queue = queue.into();
    }
    if let Some(weight) = fields.number("priority_weight")? {
        task.priority_weight = weight.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    }
    if let Some(rule) = fields.text("weight_rule")? {
        task.weight_rule = rule.parse::<WeightRule>().unwrap_or_else(|_| {
            // A class of the user's own, which only Airflow's scheduler could call.
            warnings.push(format!(
                "the task \"{task_id}\" has the priority strategy {rule}, which is not supported: its own weight counts"
            ));
            WeightRule::Absolute
        });
    }
    task.retry = read_retry(fields)?;
    task.execution_timeout = fields.duration("execution_timeout")?;
    task.wait_for_downstream = fields.truth("wait_for_downstream")?.unwrap_or(false);
    task.depends_on_past = fields.truth("depends_on_past")?.unwrap_or(false) || task.wait_for_downstream;
    task.ignore_first_depends_on_past = fields.truth("ignore_first_depends_on_past")?.unwrap_or(false);
    task.max_active_tis_per_dag = fields.count("max_active_tis_per_dag")?;
    task.max_active_tis_per_dagrun = fields.count("max_active_tis_per_dagrun")?;
    task.is_setup = fields.truth("is_setup")?.unwrap_or(false);
    task.is_teardown = fields.truth("is_teardown")?.unwrap_or(false);
    task.on_failure_fail_dagrun = fields.truth("on_failure_fail_dagrun")?.unwrap_or(false);
    task.start_date = fields.instant("start_date")?;
    task.end_date = fields.instant("end_date")?;
    task.owner = Some(fields.text("owner")?.unwrap_or_else(|| "airflow".to_owned()));
    task.do_xcom_push = fields.truth("do_xcom_push")?.unwrap_or(true);
    if fields.truth("start_from_trigger")?.unwrap_or(false) {
        warnings.push(format!(
            "the task \"{task_id}\" starts from its trigger (start_from_trigger), which is not supported yet: it starts on \
             a worker"
        ));
    }
    if fields.truth("has_retry_policy")?.unwrap_or(false) {
        warnings.push(format!(
            "the task \"{task_id}\" has a retry policy, which is not supported yet: its retries and retry_delay count"
        ));
    }
    Ok(task)
}

fn read_operator(fields: &Fields<'_>) -> Result<Operator, String> {
    let class = fields.text("task_type")?.ok_or("it has no task_type")?;
    let module = fields.text("_task_module")?.unwrap_or_default();
    // Airflow's rule for passing a task over without a worker (semantics E4); a failure callback cannot be due there.
    let has_effects = fields.truth("has_on_execute_callback")?.unwrap_or(false)
        || fields.truth("has_on_success_callback")?.unwrap_or(false)
        || ["inlets", "outlets"].iter().any(|name| is_filled(fields.raw(name)));
    if fields.truth("_is_empty")?.unwrap_or(false) && !has_effects {
        return Ok(Operator::Empty);
    }
    Ok(Operator::Python { class, module })
}

fn is_filled(value: Option<&Value>) -> bool {
    match value {
        None => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

fn read_retry(fields: &Fields<'_>) -> Result<RetrySpec, String> {
    let default = RetrySpec::default();
    // `True` doubles (serialized_objects.py deserializes it as 2.0).
    let exponential_backoff = match fields.raw("retry_exponential_backoff") {
        None => 0.0,
        Some(Value::Bool(true)) => 2.0,
        Some(Value::Bool(false)) => 0.0,
        Some(value) => {
            value.as_f64().ok_or_else(|| format!("\"retry_exponential_backoff\" is {value}, not a number"))?
        }
    };
    Ok(RetrySpec {
        retries: fields.count("retries")?.unwrap_or(default.retries),
        delay: fields.duration("retry_delay")?.unwrap_or(default.delay),
        exponential_backoff,
        max_delay: fields.duration("max_retry_delay")?,
    })
}
