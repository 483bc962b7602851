//! Whether a DAG can be scheduled at all. Everything that is wrong is said, not only the first.

use std::collections::{HashMap, HashSet};

use tradewind_types::{DagSpec, check_key};

use crate::{
    graph::{index, topological},
    timetable,
};

/// Checks a DAG: names, edges, cycles, limits, schedule.
///
/// # Errors
/// Every problem, in words, with how to mend it.
pub fn check_spec(spec: &DagSpec) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let mut note = |result: Result<(), String>| problems.extend(result.err());
    note(check_key("DAG id", spec.dag_id.as_str()));
    note(timetable::validate(&spec.timetable));
    note(timetable::validate_zone(&spec.timezone));
    if spec.catchup && spec.timetable.is_periodic() && spec.start_date.is_none() {
        let dated = spec.tasks.iter().any(|task| task.start_date.is_some());
        if !dated {
            note(Err("catchup needs a start_date: without one there is nothing to catch up from".to_owned()));
        }
    }
    if let (Some(start), Some(end)) = (spec.start_date, spec.end_date)
        && end < start
    {
        note(Err(format!("the end_date {end} is before the start_date {start}")));
    }
    let mut positions = HashMap::with_capacity(spec.tasks.len());
    let mut doubled = HashSet::new();
    for (position, task) in spec.tasks.iter().enumerate() {
        let id = task.task_id.as_str();
        note(check_key("task id", id));
        if positions.insert(id, position).is_some() && doubled.insert(id) {
            note(Err(format!("the task id \"{id}\" is used twice; task ids are unique in a DAG")));
        }
        if task.pool_slots == 0 {
            note(Err(format!("the task \"{id}\" has pool_slots 0; it needs at least 1")));
        }
        if task.expand.is_some() && task.mapped_group.is_some() {
            note(Err(format!(
                "the task \"{id}\" is mapped inside a mapped task group, which Airflow does not support either"
            )));
        }
        if let Some(group_id) = &task.mapped_group
            && !spec.task_groups.iter().any(|group| group.group_id == *group_id && group.expand.is_some())
        {
            note(Err(format!("the task \"{id}\" is in the mapped task group \"{group_id}\", which does not exist")));
        }
        for limit in &task.concurrency {
            if limit.limit == 0 || limit.key.is_empty() {
                note(Err(format!(
                    "the task \"{id}\" has a concurrency limit without a key or of 0; it could never run"
                )));
            }
        }
        if task.is_setup && task.is_teardown {
            note(Err(format!("the task \"{id}\" cannot be a setup and a teardown at once")));
        }
        note(check_key("queue name", task.queue.as_str()));
        note(check_key("pool name", task.pool.as_str()));
        let backoff = task.retry.exponential_backoff;
        if !backoff.is_finite() || backoff < 0.0 {
            note(Err(format!(
                "the task \"{id}\" has retry_exponential_backoff {backoff}; it must be a number of 0 or more"
            )));
        }
    }
    let expansions =
        spec.tasks.iter().filter_map(|task| Some((format!("task \"{}\"", task.task_id), task.expand.as_ref()?)));
    let of_groups = spec
        .task_groups
        .iter()
        .filter_map(|group| Some((format!("task group \"{}\"", group.group_id), group.expand.as_ref()?)));
    for (what, expand) in expansions.chain(of_groups) {
        for task_id in expand.dependencies() {
            if !positions.contains_key(task_id.as_str()) {
                note(Err(format!("the {what} is mapped over the task \"{task_id}\", which does not exist")));
            }
        }
    }
    let mut up = vec![Vec::new(); spec.tasks.len()];
    let mut down = vec![Vec::new(); spec.tasks.len()];
    let mut named = vec![usize::MAX; spec.tasks.len()];
    for (position, task) in spec.tasks.iter().enumerate() {
        for upstream in &task.upstream {
            match positions.get(upstream.as_str()) {
                Some(&above) => {
                    if std::mem::replace(&mut named[above], position) != position {
                        up[position].push(index(above));
                        down[above].push(index(position));
                    }
                }
                None => note(Err(format!(
                    "the task \"{}\" has the upstream task \"{upstream}\", which does not exist",
                    task.task_id
                ))),
            }
        }
    }
    if doubled.is_empty()
        && let Some(cycle) = find_cycle(&up, &down)
    {
        let path: Vec<&str> = cycle.iter().map(|&task| spec.tasks[task as usize].task_id.as_str()).collect();
        note(Err(format!("the tasks form a cycle: {}", path.join(" -> "))));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A cycle, downstream from its first task back to it.
fn find_cycle(up: &[Vec<u32>], down: &[Vec<u32>]) -> Option<Vec<u32>> {
    let order = topological(up, down);
    if order.len() == up.len() {
        return None;
    }
    let mut in_order = vec![false; up.len()];
    for &task in &order {
        in_order[task as usize] = true;
    }
    // Every task that is left has an upstream that is left: going up must come back to where it was.
    let mut at = index(in_order.iter().position(|ordered| !ordered)?);
    let mut seen: Vec<u32> = Vec::new();
    loop {
        if let Some(start) = seen.iter().position(|&task| task == at) {
            let mut cycle = seen.split_off(start);
            cycle.reverse();
            let smallest = cycle.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(position, _)| position);
            cycle.rotate_left(smallest);
            cycle.push(cycle[0]);
            return Some(cycle);
        }
        seen.push(at);
        at = *up[at as usize].iter().find(|&&above| !in_order[above as usize])?;
    }
}
