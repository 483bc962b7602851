//! Tasks of a serialized DAG.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use tradewind_types::{ExternalMarker, Operator, RetrySpec, TaskId, TaskSpec, TriggerRule, WeightRule, did_you_mean};

use super::{
    asset::{Assets, read_refs},
    executor::{TradewindConfig, read_executor_config},
    expand::read_expand,
    trigger::read_start_trigger,
    value::Fields,
};

/// Reads all tasks, in the order of their definition.
pub(super) fn read_tasks(dag: &Fields<'_>, context: &mut Context<'_>) -> Result<Tasks, String> {
    let nodes = dag.raw("tasks").and_then(Value::as_array).ok_or("the serialized DAG holds no \"tasks\"")?;
    let mut read = Tasks { specs: Vec::with_capacity(nodes.len()), task_limit: None };
    let mut upstream: BTreeMap<String, Vec<TaskId>> = BTreeMap::new();
    for node in nodes {
        let own = node.get("__var").unwrap_or(node).as_object().ok_or("a serialized task is no object")?;
        let fields = Fields::of_task(own, context.defaults);
        let task_id = fields.text("task_id")?.ok_or("a task has no task_id")?;
        let (task, limit) =
            read_task(&task_id, &fields, context).map_err(|message| format!("the task \"{task_id}\": {message}"))?;
        for downstream in fields.texts("downstream_task_ids")? {
            upstream.entry(downstream).or_default().push(task.task_id.clone());
        }
        read.task_limit = read.task_limit.into_iter().chain(limit).min();
        read.specs.push(task);
    }
    for task in &mut read.specs {
        if let Some(mut ids) = upstream.remove(task.task_id.as_str()) {
            ids.sort_unstable();
            task.upstream = ids;
        }
    }
    Ok(read)
}

/// What tasks are read with, and into.
pub(super) struct Context<'c> {
    /// The SDK's own defaults.
    pub(super) defaults: &'c Map<String, Value>,
    /// The closest mapped task group around each task that has one.
    pub(super) mapped_groups: HashMap<TaskId, String>,
    /// The weights that priority strategies of the user's own gave, where the parser asked them.
    pub(super) weights: Option<&'c Map<String, Value>>,
    /// Every asset named so far.
    pub(super) assets: Assets,
    /// Remarks.
    pub(super) warnings: Vec<String>,
}

/// All tasks of a DAG.
pub(super) struct Tasks {
    pub(super) specs: Vec<TaskSpec>,
    /// The smallest `dag_task_limit` that any of them names.
    pub(super) task_limit: Option<u32>,
}

fn read_task(task_id: &str, fields: &Fields<'_>, context: &mut Context<'_>) -> Result<(TaskSpec, Option<u32>), String> {
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
    read_weight(&mut task, fields, context)?;
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
    task.wait_for_past_depends_before_skipping =
        fields.truth("wait_for_past_depends_before_skipping")?.unwrap_or(false);
    task.on_failure_callback = is_told(fields, "has_on_failure_callback", "email_on_failure")?;
    task.on_retry_callback = is_told(fields, "has_on_retry_callback", "email_on_retry")?;
    task.marker = read_marker(task_id, fields, &mut context.warnings)?;
    read_mapping(&mut task, fields, context)?;
    read_assets(&mut task, fields, &mut context.assets);
    match read_start_trigger(fields, task.execution_timeout) {
        Ok(trigger) => task.start_trigger = trigger,
        Err(why) => {
            context.warnings.push(format!("the task \"{task_id}\" starts on a worker, not in its trigger: {why}"))
        }
    }
    let TradewindConfig { concurrency, dag_task_limit } = read_executor_config(fields)?;
    task.concurrency = concurrency;
    Ok((task, dag_task_limit))
}

fn read_weight(task: &mut TaskSpec, fields: &Fields<'_>, context: &mut Context<'_>) -> Result<(), String> {
    let clamped = |weight: i64| weight.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    if let Some(weight) = fields.number("priority_weight")? {
        task.priority_weight = clamped(weight);
    }
    let Some(rule) = fields.text("weight_rule")? else {
        return Ok(());
    };
    if let Ok(rule) = rule.parse::<WeightRule>() {
        task.weight_rule = rule;
        return Ok(());
    }
    // A class of the user's own. Airflow's scheduler asks it for each task instance; here the parser asks it once.
    task.weight_rule = WeightRule::Absolute;
    let strategy = rule.split(" object at ").next().unwrap_or(&rule).trim_start_matches('<');
    let weight = context.weights.and_then(|weights| weights.get(task.task_id.as_str())).and_then(Value::as_i64);
    let remark = match weight {
        Some(weight) => {
            task.priority_weight = clamped(weight);
            "was asked once, while the file was parsed, and not for each task instance"
        }
        None => "could not be asked: the task's own weight counts",
    };
    context.warnings.push(format!("the priority strategy {strategy} of the task \"{}\" {remark}", task.task_id));
    Ok(())
}

/// Whether somebody is told: by a callback, or by an e-mail that the flag `by_email` has not turned off.
fn is_told(fields: &Fields<'_>, callback: &str, by_email: &str) -> Result<bool, String> {
    Ok(fields.truth(callback)?.unwrap_or(false)
        || (fields.is_filled("email") && fields.truth(by_email)?.unwrap_or(true)))
}

fn read_marker(
    task_id: &str,
    fields: &Fields<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<ExternalMarker>, String> {
    // A sensor of another DAG has no depth.
    let (Some(dag_id), Some(recursion_depth)) = (fields.raw("external_dag_id"), fields.raw("recursion_depth")) else {
        return Ok(None);
    };
    let target = |value: &Value| value.as_str().filter(|text| !text.contains("{{")).map(ToOwned::to_owned);
    let task = fields.raw("external_task_id");
    let (Some(dag_id), Some(depth), true) =
        (target(dag_id), recursion_depth.as_u64(), task.is_none_or(|task| target(task).is_some()))
    else {
        warnings.push(format!(
            "the marker \"{task_id}\" names its target by a template, so clearing it does not clear the target"
        ));
        return Ok(None);
    };
    Ok(Some(ExternalMarker {
        dag_id: dag_id.into(),
        task_id: task.and_then(target).map(TaskId::from),
        recursion_depth: u32::try_from(depth).unwrap_or(u32::MAX),
    }))
}

fn read_mapping(task: &mut TaskSpec, fields: &Fields<'_>, context: &Context<'_>) -> Result<(), String> {
    if fields.truth("_is_mapped")?.unwrap_or(false) {
        let name = fields.text("_expand_input_attr")?.unwrap_or_else(|| "expand_input".to_owned());
        let input = fields.raw(&name).ok_or_else(|| format!("it is mapped, but \"{name}\" is missing"))?;
        task.expand = Some(read_expand(input)?);
    }
    task.mapped_group = context.mapped_groups.get(&task.task_id).cloned();
    Ok(())
}

fn read_assets(task: &mut TaskSpec, fields: &Fields<'_>, assets: &mut Assets) {
    // Outlets first: who makes an asset knows most about it.
    for name in ["outlets", "inlets"] {
        fields.raw(name).into_iter().for_each(|list| assets.look_at(list));
    }
    task.outlets = read_refs(fields.raw("outlets"));
    task.inlets = read_refs(fields.raw("inlets"));
}

fn read_operator(fields: &Fields<'_>) -> Result<Operator, String> {
    let class = fields.text("task_type")?.ok_or("it has no task_type")?;
    let module = fields.text("_task_module")?.unwrap_or_default();
    // Airflow's rule for passing a task over without a worker (semantics E4); a failure callback cannot be due there.
    let has_effects = ["has_on_execute_callback", "has_on_success_callback", "inlets", "outlets"]
        .iter()
        .any(|name| fields.is_filled(name));
    if fields.truth("_is_empty")?.unwrap_or(false) && !has_effects {
        return Ok(Operator::Empty);
    }
    Ok(Operator::Python { class, module })
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
