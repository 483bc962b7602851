//! What every source of DAGs has to keep to, and the engine cannot say as well: it does not know what a file calls things.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_types::{ConcurrencyLimit, Expand, Operator, TaskGroupSpec, TaskId, TaskSpec, did_you_mean};

/// What is mapped wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// A task.
    Task(TaskId),
    /// A task group.
    Group(String),
}

/// Checks that tasks and groups are mapped over results of tasks that come before them, and not twice.
pub(crate) fn mapping_faults(tasks: &[TaskSpec], groups: &[TaskGroupSpec]) -> Vec<(Mapped, String)> {
    let by_id: BTreeMap<&TaskId, &TaskSpec> = tasks.iter().map(|task| (&task.task_id, task)).collect();
    let mut faults = Vec::new();
    for task in tasks {
        let Some(expand) = &task.expand else { continue };
        let owner = || Mapped::Task(task.task_id.clone());
        if let Some(group) = &task.mapped_group {
            let message = format!("is mapped inside of the mapped task group \"{group}\"; map only one of them");
            faults.push((owner(), message));
        }
        faults.extend(over(expand, &[task], &by_id).into_iter().map(|message| (owner(), message)));
    }
    for group in groups {
        let Some(expand) = &group.expand else { continue };
        let owner = || Mapped::Group(group.group_id.clone());
        let mut around = group.parent.as_ref();
        while let Some(spec) = around.and_then(|id| groups.iter().find(|other| other.group_id == *id)) {
            if spec.expand.is_some() {
                let message = format!("is mapped inside of the mapped task group \"{}\"; map only one", spec.group_id);
                faults.push((owner(), message));
            }
            around = spec.parent.as_ref();
        }
        let members: Vec<&TaskSpec> =
            tasks.iter().filter(|task| task.mapped_group.as_ref() == Some(&group.group_id)).collect();
        faults.extend(over(expand, &members, &by_id).into_iter().map(|message| (owner(), message)));
    }
    faults
}

/// What is wrong with what `mapped` tasks are mapped over.
fn over(expand: &Expand, mapped: &[&TaskSpec], by_id: &BTreeMap<&TaskId, &TaskSpec>) -> Vec<String> {
    let mut faults = Vec::new();
    if matches!(expand, Expand::Product { arguments } if arguments.is_empty()) {
        faults.push("is mapped over nothing: name at least one list to map over".to_owned());
    }
    for dependency in expand.dependencies() {
        let Some(task) = by_id.get(dependency) else {
            let near = did_you_mean(dependency.as_str(), by_id.keys().map(|id| id.as_str()));
            faults
                .push(format!("is mapped over the result of the task \"{dependency}\", which is not in the DAG{near}"));
            continue;
        };
        if task.operator == Operator::Empty && task.expand.is_none() {
            faults.push(format!(
                "is mapped over the result of the task \"{dependency}\", which does nothing and has none"
            ));
        }
        if let Some(task) = mapped.iter().find(|task| !before(task, by_id).contains(dependency)) {
            faults.push(format!(
                "is mapped over the result of the task \"{dependency}\", which is not upstream of \"{}\"",
                task.task_id
            ));
        }
    }
    faults
}

/// Everything upstream of a task.
fn before<'t>(task: &'t TaskSpec, by_id: &BTreeMap<&'t TaskId, &'t TaskSpec>) -> BTreeSet<&'t TaskId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&TaskId> = task.upstream.iter().collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(by_id.get(id).into_iter().flat_map(|task| &task.upstream));
        }
    }
    found
}

/// Checks a limit of a task beside those `before` it.
pub(crate) fn check_limit(limit: &ConcurrencyLimit, before: &[ConcurrencyLimit]) -> Result<(), String> {
    if limit.key.trim().is_empty() {
        return Err("has an empty key".to_owned());
    }
    if limit.limit == 0 {
        return Err(format!("has the limit 0 for \"{}\", with which the task would never run", limit.key));
    }
    if before.iter().any(|other| other.key == limit.key) {
        return Err(format!("names the key \"{}\" twice", limit.key));
    }
    Ok(())
}
