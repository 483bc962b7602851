//! From Airflow's serialized DAG JSON (`__version` 3, as `airflow/serialization/schema.json` of the installed package
//! describes it) to a [`DagSpec`].
//!
//! The serializer leaves out what equals a default: first its schema's, then the `client_defaults` that it sends along.
//! What this version cannot schedule keeps its serialized form in the spec and is reported, never dropped.

pub(crate) mod asset;
mod deadline;
mod executor;
mod expand;
mod group;
mod schedule;
mod task;
mod trigger;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};
use tradewind_types::{DagSource, DagSpec, Param, SourceKind, TaskSpec, Timetable};

use self::{
    asset::Assets,
    deadline::read_deadlines,
    group::Groups,
    schedule::{read_timetable, read_zone},
    task::{Context, Tasks, read_tasks},
    value::{Fields, plain},
};
use crate::{
    check::{Mapped, mapping_faults},
    order::{Order, cycle_words, in_order},
};

/// The version of the serialization that this code reads.
pub const SERIALIZER_VERSION: u64 = 3;

/// A converted DAG.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The DAG.
    pub spec: DagSpec,
    /// What it says but this version does not do, in words.
    pub warnings: Vec<String>,
}

/// Why a DAG was not converted: the message begins with its id where it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConvertError {
    /// The DAG, where its id could be read.
    pub dag_id: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Converts one serialized DAG of the file `rel_path` (below the DAG folder).
///
/// # Errors
/// Another version of the serialization; a field that is missing or of another type than the schema says; a cycle; a
/// mapping over what is not there; a key in `executor_config["tradewind"]` that there is not.
///
/// Beside `dag`, the parser may put `priority_weights`: what priority strategies of the user's own gave, by task id. A
/// custom timetable says beside its `__type` whether it is `periodic`.
pub fn convert(serialized: &Value, rel_path: &str) -> Result<Converted, ConvertError> {
    let dag = serialized.get("dag").and_then(Value::as_object);
    let dag_id = dag.and_then(|dag| dag.get("dag_id")).and_then(Value::as_str).map(ToOwned::to_owned);
    let named = dag_id.clone();
    read_dag(serialized, dag, rel_path).map_err(|message| ConvertError {
        message: match &named {
            Some(dag_id) => format!("DAG \"{dag_id}\": {message}"),
            None => message,
        },
        dag_id,
    })
}

fn read_dag(serialized: &Value, dag: Option<&Map<String, Value>>, rel_path: &str) -> Result<Converted, String> {
    let version = serialized.get("__version").and_then(Value::as_u64);
    if version != Some(SERIALIZER_VERSION) {
        return Err(format!(
            "it is serialized in version {}, and this version of Tradewind reads {SERIALIZER_VERSION}; install the \
             pinned apache-airflow packages",
            version.map_or_else(|| "none".to_owned(), |version| version.to_string())
        ));
    }
    let dag = Fields::new(dag.ok_or("the serialized DAG holds no \"dag\"")?);
    let empty = Map::new();
    let defaults = serialized.pointer("/client_defaults/tasks").and_then(Value::as_object).unwrap_or(&empty);
    let groups = Groups::read(dag.raw("task_group").and_then(Value::as_object))?;
    let mut context = Context {
        defaults,
        mapped_groups: groups.mapped,
        weights: serialized.get("priority_weights").and_then(Value::as_object),
        assets: Assets::default(),
        warnings: Vec::new(),
    };
    let (timetable, schedule_text) = read_schedule(&dag, &mut context)?;
    let timezone = read_dag_zone(dag.raw("timezone"), &mut context.warnings);
    let Tasks { specs: tasks, task_limit } = read_tasks(&dag, &mut context)?;
    let faults = mapping_faults(&tasks, &groups.specs);
    if !faults.is_empty() {
        let lines = faults.into_iter().map(|(mapped, message)| match mapped {
            Mapped::Task(id) => format!("the task \"{id}\" {message}"),
            Mapped::Group(id) => format!("the task group \"{id}\" {message}"),
        });
        return Err(lines.collect::<Vec<_>>().join("\n"));
    }
    let owners: BTreeSet<String> = tasks.iter().filter_map(|task| task.owner.clone()).collect();
    let mut tags = dag.texts("tags")?;
    // A set in Python: without an order of its own, and with it the version would change from parse to parse.
    tags.sort_unstable();
    let Context { assets, mut warnings, .. } = context;
    warnings.extend(assets.warnings.iter().cloned());
    if dag.is_filled("allowed_run_types") {
        warnings.push("its allowed_run_types are not supported: runs of every type are allowed".to_owned());
    }
    let spec = DagSpec {
        dag_id: dag.text("dag_id")?.ok_or("it has no dag_id")?.into(),
        display_name: dag.text("dag_display_name")?,
        description: dag.text("description")?,
        doc_md: dag.text("doc_md")?,
        timetable,
        schedule_text,
        timezone,
        start_date: dag.instant("start_date")?,
        end_date: dag.instant("end_date")?,
        catchup: dag.truth("catchup")?.unwrap_or(false),
        max_active_runs: dag.count("max_active_runs")?.unwrap_or(16),
        max_active_tasks: dag.count("max_active_tasks")?.unwrap_or(16),
        max_consecutive_failed_dag_runs: dag.count("max_consecutive_failed_dag_runs")?.unwrap_or(0),
        dagrun_timeout: dag.duration("dagrun_timeout")?,
        fail_fast: dag.truth("fail_fast")?.unwrap_or(false),
        is_paused_upon_creation: dag.truth("is_paused_upon_creation")?,
        tags,
        owners: owners.into_iter().collect(),
        params: read_params(dag.raw("params"))?,
        task_limit,
        on_success_callback: dag.truth("has_on_success_callback")?.unwrap_or(false),
        on_failure_callback: dag.truth("has_on_failure_callback")?.unwrap_or(false),
        deadlines: read_deadlines(dag.raw("deadline"), &mut warnings),
        assets: assets.into_list(),
        tasks: sorted(tasks)?,
        task_groups: groups.specs,
        source: DagSource { kind: SourceKind::Python, rel_path: rel_path.to_owned() },
        environment: None,
    };
    tradewind_engine::check_spec(&spec).map_err(|problems| problems.join("\n"))?;
    Ok(Converted { spec, warnings })
}

fn read_schedule(dag: &Fields<'_>, context: &mut Context<'_>) -> Result<(Timetable, Option<String>), String> {
    let Some(serialized) = dag.wrapped("timetable") else {
        return Ok((Timetable::None, None));
    };
    let (timetable, text) = read_timetable(serialized)?;
    if let Some(condition) = serialized.pointer("/__var/asset_condition") {
        context.assets.look_at(condition);
    }
    let class = serialized.get("__type").and_then(Value::as_str).unwrap_or_default();
    if class.contains(".PartitionedA") {
        context.warnings.push("asset partitions are not supported: the DAG runs only when it is triggered".to_owned());
    } else if timetable.asset_condition().is_some_and(|condition| condition.assets().is_empty()) {
        context.warnings.push("its schedule names no asset: no update of an asset starts it".to_owned());
    }
    Ok((timetable, text))
}

fn read_dag_zone(zone: Option<&Value>, warnings: &mut Vec<String>) -> String {
    let Some(zone) = zone else {
        return "UTC".to_owned();
    };
    read_zone(zone).unwrap_or_else(|| {
        warnings.push(format!("the time zone {zone} is a fixed offset that no IANA zone has; dates are shown in UTC"));
        "UTC".to_owned()
    })
}

fn sorted(tasks: Vec<TaskSpec>) -> Result<Vec<TaskSpec>, String> {
    match in_order(tasks) {
        Order::Sorted(tasks) => Ok(tasks),
        Order::Cycle(path) => Err(cycle_words("its tasks wait for each other", &path)),
    }
}

/// `[["name", {"default": …, "description": …, "schema": …}], …]`.
fn read_params(params: Option<&Value>) -> Result<BTreeMap<String, Param>, String> {
    let Some(params) = params.and_then(Value::as_array) else {
        return Ok(BTreeMap::new());
    };
    params
        .iter()
        .map(|pair| {
            let name = pair.get(0).and_then(Value::as_str);
            let param = pair.get(1).and_then(Value::as_object);
            let (Some(name), Some(param)) = (name, param) else {
                return Err(format!("a param is not a pair of name and value: {pair}"));
            };
            let param = Param {
                value: param.get("default").map_or(Value::Null, plain),
                description: param.get("description").and_then(Value::as_str).map(ToOwned::to_owned),
                schema: param.get("schema").map_or_else(|| Value::Object(Map::new()), plain),
            };
            Ok((name.to_owned(), param))
        })
        .collect()
}

/// Seconds as a duration.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}
