//! Pools, queues and connections that tasks name, compared with what there is.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_types::{DEFAULT_POOL, DagSpec, NativeOperator, Operator, did_you_mean};

use super::{Finding, Known, Level, places::Places};
use crate::LoadedFile;

pub(super) fn findings(file: &LoadedFile, spec: &DagSpec, known: &Known, places: &Places) -> Vec<Finding> {
    let mut found = Vec::new();
    let dag_id = spec.dag_id.as_str();
    // Where most tasks name the same thing, one finding names the first.
    let mut seen = BTreeSet::new();
    for task in &spec.tasks {
        let task_id = task.task_id.as_str();
        let pool = task.pool.as_str();
        if let Some(pools) = &known.pools
            && pool != DEFAULT_POOL
            && !pools.contains(pool)
            && seen.insert(("pool", pool.to_owned()))
        {
            let near = did_you_mean(pool, pools.iter().map(String::as_str));
            found.push(
                Finding::new("unknown-pool", &file.rel_path, format!("the pool \"{pool}\" of the task \"{task_id}\" does not exist{near}; its tasks wait until it does"))
                    .mend(format!("create it with `tradewind pools set {pool} SLOTS`, or name another"))
                    .of_task(dag_id, task_id, places),
            );
        }
        let queue = task.queue.as_str();
        if let Some(queues) = &known.queues
            && !matches!(task.operator, Operator::Empty)
            && !queues.contains(queue)
            && seen.insert(("queue", queue.to_owned()))
        {
            let near = did_you_mean(queue, queues.iter().map(String::as_str));
            found.push(
                Finding::new(
                    "unknown-queue",
                    &file.rel_path,
                    format!("no live worker serves the queue \"{queue}\" of the task \"{task_id}\"{near}"),
                )
                .mend(format!("start a worker with `tradewind worker -q {queue}`, or name another queue"))
                .of_task(dag_id, task_id, places),
            );
        }
    }
    let Some(connections) = &known.connections else { return found };
    for (task_id, argument, id, is_default) in named(file, spec) {
        if connections.contains(&id) || !seen.insert(("connection", id.clone())) {
            continue;
        }
        let near = did_you_mean(&id, connections.iter().map(String::as_str));
        let whose = if is_default { "by default" } else { "in" };
        let argument = if is_default { format!("({argument})") } else { argument };
        let message = format!(
            "the task \"{task_id}\" names the connection \"{id}\" {whose} {argument}, which does not exist{near}"
        );
        let mut finding = Finding::new("unknown-connection", &file.rel_path, message)
            .mend(format!(
                "create it with `tradewind connections add {id}`, or set AIRFLOW_CONN_{} for the workers",
                id.to_uppercase()
            ))
            .of_task(dag_id, &task_id, places);
        if is_default {
            // Many hooks do without their default connection.
            finding.level = Level::Note;
        }
        found.push(finding);
    }
    found
}

/// Task, argument, connection id, and whether the file does not say it itself; explicit ones first.
fn named(file: &LoadedFile, spec: &DagSpec) -> Vec<(String, String, String, bool)> {
    let mut found = Vec::new();
    for task in &spec.tasks {
        let connection = match &task.operator {
            Operator::Native(NativeOperator::Sql(options)) => Some(options.connection.clone()),
            Operator::Native(NativeOperator::Http(options)) => options.connection.clone(),
            _ => None,
        };
        if let Some(id) = connection.filter(|id| !id.contains("{{")) {
            found.push((task.task_id.to_string(), "connection".to_owned(), id, false));
        }
    }
    // One id can come up twice in a file; the last DAG is the one that counts.
    let notes: BTreeMap<&str, _> =
        file.notes.iter().flat_map(|notes| &notes.dags).map(|dag| (dag.dag_id.as_str(), dag)).collect();
    for task in notes.get(spec.dag_id.as_str()).into_iter().flat_map(|dag| &dag.tasks) {
        for connection in &task.connections {
            let argument = connection.argument.clone();
            found.push((task.task_id.clone(), argument, connection.id.clone(), connection.is_default));
        }
    }
    found.sort_by_key(|(_, _, _, is_default)| *is_default);
    found
}
