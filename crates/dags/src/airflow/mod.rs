//! From Airflow's serialized DAG JSON (`__version` 3, as `airflow/serialization/schema.json` of the installed package
//! describes it) to a [`DagSpec`].
//!
//! The serializer leaves out what equals a default: first its schema's, then the `client_defaults` that it sends along.
//! What this version cannot schedule keeps its serialized form in the spec and is reported, never dropped.

mod schedule;
mod task;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};
use tradewind_types::{DagSource, DagSpec, Param, SourceKind, TaskGroupSpec, TaskId, TaskSpec, Timetable};

use self::{
    schedule::{read_timetable, read_zone},
    task::read_tasks,
    value::{Fields, plain},
};
use crate::order::{Order, in_order};

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
/// Another version of the serialization; a field that is missing or of another type than the schema says; a cycle; and
/// what is not supported yet and cannot be left out without changing what the DAG does: mapped tasks and task groups.
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
    let mut warnings = Vec::new();
    let (timetable, schedule_text) = match dag.wrapped("timetable") {
        Some(timetable) => read_timetable(timetable)?,
        None => (Timetable::None, None),
    };
    if let Timetable::Other { class, .. } = &timetable {
        let class = class.rsplit('.').next().unwrap_or(class);
        warnings.push(format!("the schedule {class} is not supported yet: the DAG runs only when it is triggered"));
    }
    let timezone = match dag.raw("timezone") {
        None => "UTC".to_owned(),
        Some(zone) => match read_zone(zone) {
            Some(zone) => zone,
            None => {
                warnings.push(format!(
                    "the time zone {zone} is a fixed offset that no IANA zone has; dates are shown in UTC"
                ));
                "UTC".to_owned()
            }
        },
    };
    let tasks = read_tasks(&dag, defaults, &mut warnings)?;
    let owners: BTreeSet<String> = tasks.iter().filter_map(|task| task.owner.clone()).collect();
    let mut tags = dag.texts("tags")?;
    // A set in Python: without an order of its own, and with it the version would change from parse to parse.
    tags.sort_unstable();
    let mut task_groups = Vec::new();
    if let Some(root) = dag.raw("task_group").and_then(Value::as_object) {
        read_groups(root, None, None, &mut task_groups)?;
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
        tasks: sorted(tasks)?,
        task_groups,
        source: DagSource { kind: SourceKind::Python, rel_path: rel_path.to_owned() },
    };
    tradewind_engine::check_spec(&spec).map_err(|problems| problems.join("\n"))?;
    Ok(Converted { spec, warnings })
}

fn sorted(tasks: Vec<TaskSpec>) -> Result<Vec<TaskSpec>, String> {
    match in_order(tasks) {
        Order::Sorted(tasks) => Ok(tasks),
        Order::Cycle(path) => {
            let path: Vec<&str> = path.iter().map(TaskId::as_str).collect();
            Err(format!("its tasks wait for each other: {}", path.join(" → ")))
        }
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

/// Task groups, the outer before the inner. The root group has no id and is left out.
fn read_groups(
    group: &Map<String, Value>,
    id: Option<&str>,
    parent: Option<&str>,
    out: &mut Vec<TaskGroupSpec>,
) -> Result<(), String> {
    let children = group.get("children").and_then(Value::as_object).ok_or("a task group holds no \"children\"")?;
    let mut tasks = Vec::new();
    let mut inner = Vec::new();
    for (child_id, child) in children {
        match (child.get(0).and_then(Value::as_str), child.get(1)) {
            (Some("operator"), _) => tasks.push(TaskId::from(child_id.as_str())),
            (Some("taskgroup"), Some(Value::Object(group))) => inner.push((child_id, group)),
            _ => return Err(format!("the child \"{child_id}\" of a task group is of an unknown kind")),
        }
    }
    if let Some(id) = id {
        let expand = group.get("expand_input").filter(|input| !input.is_null());
        if expand.is_some() || group.get("is_mapped") == Some(&Value::Bool(true)) {
            return Err(format!(
                "the task group \"{id}\" is mapped (expand), which is not supported yet; call it once for each value"
            ));
        }
        out.push(TaskGroupSpec {
            group_id: id.to_owned(),
            parent: parent.map(ToOwned::to_owned),
            tasks,
            tooltip: group
                .get("tooltip")
                .and_then(Value::as_str)
                .filter(|tooltip| !tooltip.is_empty())
                .map(ToOwned::to_owned),
            expand: None,
        });
    }
    for (child_id, group) in inner {
        read_groups(group, Some(child_id), id, out)?;
    }
    Ok(())
}

/// Seconds as a duration.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}
