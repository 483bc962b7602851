//! What differs between two states of a DAG folder, by meaning: not lines of text, but DAGs, tasks, edges, arguments,
//! schedules and the runs that come of them.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use tradewind_guest::{DagNotes, TaskNotes};
use tradewind_types::{DagSpec, TaskSpec, Timestamp};

use self::values::{difference, short};
use crate::{
    LoadedFile,
    review::{Upcoming, next_runs},
};

/// One field, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Its name, with dots where it is part of another.
    pub field: String,
    /// Its value before; none where there was none.
    pub old: Option<String>,
    /// Its value after; none where there is none.
    pub new: Option<String>,
}

/// A task that both states have, under one name or another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskChange {
    /// Its id after.
    pub task_id: String,
    /// Its id before, where the same task seems to have a new one.
    pub renamed_from: Option<String>,
    /// What differs.
    pub fields: Vec<FieldChange>,
    /// Whether what its functions and class do differs.
    pub code: bool,
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// The task that comes first.
    pub upstream: String,
    /// The task that waits for it.
    pub downstream: String,
}

/// A DAG that both states have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DagChange {
    /// Its id.
    pub dag_id: String,
    /// Its file after.
    pub file: String,
    /// What differs about the DAG itself: schedule, next runs, params, limits.
    pub fields: Vec<FieldChange>,
    /// Whether what its callbacks do differs.
    pub code: bool,
    /// Tasks that only the new state has.
    pub tasks_added: Vec<String>,
    /// Tasks that only the old state has.
    pub tasks_removed: Vec<String>,
    /// Tasks that differ.
    pub tasks: Vec<TaskChange>,
    /// Dependencies that only the new state has.
    pub edges_added: Vec<Edge>,
    /// Dependencies that only the old state has.
    pub edges_removed: Vec<Edge>,
}

impl DagChange {
    fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && !self.code
            && self.tasks_added.is_empty()
            && self.tasks_removed.is_empty()
            && self.tasks.is_empty()
            && self.edges_added.is_empty()
            && self.edges_removed.is_empty()
    }
}

/// A DAG that only one state has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WholeDag {
    /// Its id.
    pub dag_id: String,
    /// Its file.
    pub file: String,
    /// How many tasks it has.
    pub tasks: usize,
    /// Its schedule as people read it.
    pub schedule: Option<String>,
}

/// All that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// DAGs that only the new state has.
    pub added: Vec<WholeDag>,
    /// DAGs that only the old state has.
    pub removed: Vec<WholeDag>,
    /// DAGs that differ.
    pub changed: Vec<DagChange>,
    /// How many DAGs mean the same.
    pub same: usize,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

struct Dag<'f> {
    file: &'f LoadedFile,
    spec: &'f DagSpec,
    notes: Option<&'f DagNotes>,
}

impl Dag<'_> {
    fn whole(&self) -> WholeDag {
        WholeDag {
            dag_id: self.spec.dag_id.to_string(),
            file: self.file.rel_path.clone(),
            tasks: self.spec.tasks.len(),
            schedule: self.spec.schedule_text.clone(),
        }
    }

    fn task_notes(&self, task_id: &str) -> Option<&TaskNotes> {
        self.notes?.tasks.iter().find(|task| task.task_id == task_id)
    }
}

/// Compares two loaded states; runs are looked ahead from `now`.
pub fn compare(old: &[LoadedFile], new: &[LoadedFile], now: Timestamp) -> Comparison {
    let (before, after) = (dags(old), dags(new));
    let mut found = Comparison::default();
    for (dag_id, dag) in &before {
        match after.get(dag_id) {
            None => found.removed.push(dag.whole()),
            Some(latest) => {
                let change = dag_change(dag, latest, now);
                if change.is_empty() {
                    found.same += 1;
                } else {
                    found.changed.push(change);
                }
            }
        }
    }
    found.added =
        after.iter().filter(|(dag_id, _)| !before.contains_key(*dag_id)).map(|(_, dag)| dag.whole()).collect();
    found
}

fn dags(files: &[LoadedFile]) -> BTreeMap<&str, Dag<'_>> {
    let mut found = BTreeMap::new();
    for file in files {
        for (_, spec) in &file.dags {
            let dag_id = spec.dag_id.as_str();
            found.insert(dag_id, Dag { file, spec, notes: file.dag_notes(dag_id) });
        }
    }
    found
}

/// What is compared otherwise, or follows from what is.
const NOT_OF_DAG: [&str; 7] = ["dag_id", "tasks", "task_groups", "source", "timetable", "schedule_text", "assets"];
const NOT_OF_TASK: [&str; 3] = ["task_id", "upstream", "mapped_group"];

fn dag_change(old: &Dag<'_>, new: &Dag<'_>, now: Timestamp) -> DagChange {
    let mut change = DagChange {
        dag_id: new.spec.dag_id.to_string(),
        file: new.file.rel_path.clone(),
        code: matches!((old.notes, new.notes), (Some(old), Some(new)) if old.code != new.code),
        ..DagChange::default()
    };
    if old.file.rel_path != new.file.rel_path {
        change.fields.push(field("file", Some(old.file.rel_path.clone()), Some(new.file.rel_path.clone())));
    }
    schedule_change(old, new, now, &mut change.fields);
    change.fields.extend(difference(&without(old.spec, &NOT_OF_DAG), &without(new.spec, &NOT_OF_DAG)));
    let renamed = renamed(old, new);
    for task in &new.spec.tasks {
        let task_id = task.task_id.as_str();
        let before = renamed.get(task_id).map_or(task_id, String::as_str);
        match old.spec.task(before) {
            None => change.tasks_added.push(task_id.to_owned()),
            Some(known) => {
                let (fields, code) = task_difference(known, old.task_notes(before), task, new.task_notes(task_id));
                let renamed_from = (before != task_id).then(|| before.to_owned());
                if !fields.is_empty() || code || renamed_from.is_some() {
                    change.tasks.push(TaskChange { task_id: task_id.to_owned(), renamed_from, fields, code });
                }
            }
        }
    }
    let kept: BTreeSet<&str> = renamed.values().map(String::as_str).collect();
    let is_gone = |id: &&str| new.spec.task(id).is_none() && !kept.contains(id);
    change.tasks_removed =
        old.spec.tasks.iter().map(|task| task.task_id.as_str()).filter(is_gone).map(ToOwned::to_owned).collect();
    let names: BTreeMap<&str, &str> = renamed.iter().map(|(new, old)| (old.as_str(), new.as_str())).collect();
    let (edges_before, edges_after) = (edges(old.spec, &names), edges(new.spec, &BTreeMap::new()));
    change.edges_added = edges_after.difference(&edges_before).cloned().collect();
    change.edges_removed = edges_before.difference(&edges_after).cloned().collect();
    change
}

fn field(name: &str, old: Option<String>, new: Option<String>) -> FieldChange {
    FieldChange { field: name.to_owned(), old, new }
}

fn schedule_change(old: &Dag<'_>, new: &Dag<'_>, now: Timestamp, fields: &mut Vec<FieldChange>) {
    let (old_runs, new_runs) = (next_runs(old.spec, old.notes, now), next_runs(new.spec, new.notes, now));
    let (old, new) = (old.spec, new.spec);
    let text = |spec: &DagSpec| {
        let value = serde_json::to_value(&spec.timetable).unwrap_or_default();
        spec.schedule_text.clone().unwrap_or_else(|| short(&value))
    };
    if old.timetable != new.timetable {
        let (mut before, mut after) = (text(old), text(new));
        if before == after {
            // Said alike, meant otherwise: e.g. in another zone.
            before = short(&serde_json::to_value(&old.timetable).unwrap_or_default());
            after = short(&serde_json::to_value(&new.timetable).unwrap_or_default());
        }
        fields.push(field("schedule", Some(before), Some(after)));
    }
    if old_runs != new_runs {
        fields.push(field("next runs", Some(runs(&old_runs, old)), Some(runs(&new_runs, new))));
    }
}

fn runs(upcoming: &Upcoming, spec: &DagSpec) -> String {
    match upcoming {
        Upcoming::Otherwise(how) => (*how).to_owned(),
        Upcoming::Unknown(error) => format!("not known: its timetable raises {error}"),
        Upcoming::Times(times) if times.is_empty() => "none".to_owned(),
        Upcoming::Times(times) => {
            let zone = jiff::tz::TimeZone::get(&spec.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
            let shown = times.iter().map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M%:z").to_string());
            shown.collect::<Vec<_>>().join(", ")
        }
    }
}

fn without<T: Serialize>(value: &T, names: &[&str]) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    value
}

/// The fields in which a task differs but for its name and what it depends on, and whether its code does something else.
/// Without notes only what is serialized counts.
pub fn task_difference(
    old: &TaskSpec,
    old_notes: Option<&TaskNotes>,
    new: &TaskSpec,
    new_notes: Option<&TaskNotes>,
) -> (Vec<FieldChange>, bool) {
    let mut fields = difference(&without(old, &NOT_OF_TASK), &without(new, &NOT_OF_TASK));
    let (Some(before), Some(after)) = (old_notes, new_notes) else { return (fields, false) };
    let names: BTreeSet<&String> = before.arguments.keys().chain(after.arguments.keys()).collect();
    for name in names {
        let (was, is) = (before.arguments.get(name), after.arguments.get(name));
        // Names of the spec: `retries` is there as `retry.retries`.
        let is_said = |change: &FieldChange| change.field.rsplit('.').next().is_some_and(|last| is_same(last, name));
        if was != is && !fields.iter().any(is_said) {
            fields.push(field(name, was.cloned(), is.cloned()));
        }
    }
    (fields, before.callables != after.callables)
}

/// Whether a field of the spec is an argument of Airflow's.
fn is_same(field: &str, argument: &str) -> bool {
    field == argument || argument == format!("retry_{field}") || argument == format!("{field}_retry_delay")
}

/// Tasks that seem to have a new id only: by the new id, the old one.
fn renamed(old: &Dag<'_>, new: &Dag<'_>) -> BTreeMap<String, String> {
    let gone: Vec<&TaskSpec> =
        old.spec.tasks.iter().filter(|task| new.spec.task(task.task_id.as_str()).is_none()).collect();
    let added: Vec<&TaskSpec> =
        new.spec.tasks.iter().filter(|task| old.spec.task(task.task_id.as_str()).is_none()).collect();
    let likeness = |dag: &Dag<'_>, task: &TaskSpec| {
        let notes = dag.task_notes(task.task_id.as_str());
        let mut arguments = notes.map(|notes| notes.arguments.clone()).unwrap_or_default();
        // A decorated function gives its task the name.
        arguments.remove("python_callable");
        (without(task, &NOT_OF_TASK).to_string(), arguments, notes.map(|notes| notes.callables.clone()))
    };
    let mut found = BTreeMap::new();
    for task in &added {
        let like = likeness(new, task);
        let alike: Vec<_> = gone.iter().filter(|known| likeness(old, known) == like).collect();
        let rivals = added.iter().filter(|other| likeness(new, other) == like).count();
        // Anything else would be a guess.
        if let ([known], 1) = (alike.as_slice(), rivals) {
            found.insert(task.task_id.to_string(), known.task_id.to_string());
        }
    }
    found
}

fn edges(spec: &DagSpec, names: &BTreeMap<&str, &str>) -> BTreeSet<Edge> {
    let name = |id: &str| names.get(id).copied().unwrap_or(id).to_owned();
    let of_task = |task: &TaskSpec| {
        let downstream = name(task.task_id.as_str());
        let upstream: Vec<String> = task.upstream.iter().map(|id| name(id.as_str())).collect();
        upstream.into_iter().map(move |upstream| Edge { upstream, downstream: downstream.clone() })
    };
    spec.tasks.iter().flat_map(of_task).collect()
}
