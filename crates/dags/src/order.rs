//! Topological order of tasks.

use std::collections::{BTreeMap, VecDeque};

use tradewind_types::{TaskId, TaskSpec};

/// Tasks with upstream before downstream, or why there is no such order.
pub(crate) enum Order {
    /// Upstream first.
    Sorted(Vec<TaskSpec>),
    /// A way round: each task is upstream of the next, the last is the first.
    Cycle(Vec<TaskId>),
}

/// Sorts tasks; those that do not depend on each other keep their order. Upstream ids that are no tasks do not count.
pub(crate) fn in_order(tasks: Vec<TaskSpec>) -> Order {
    let at: BTreeMap<&TaskId, usize> = tasks.iter().enumerate().map(|(index, task)| (&task.task_id, index)).collect();
    let upstream: Vec<Vec<usize>> = tasks
        .iter()
        .map(|task| {
            let mut upstream: Vec<usize> = task.upstream.iter().filter_map(|id| at.get(id).copied()).collect();
            upstream.sort_unstable();
            upstream.dedup();
            upstream
        })
        .collect();
    let mut downstream = vec![Vec::new(); tasks.len()];
    for (index, upstream) in upstream.iter().enumerate() {
        for &up in upstream {
            downstream[up].push(index);
        }
    }
    let mut open: Vec<usize> = upstream.iter().map(Vec::len).collect();
    let mut ready: std::collections::BTreeSet<usize> = (0..tasks.len()).filter(|&index| open[index] == 0).collect();
    let mut order = VecDeque::with_capacity(tasks.len());
    while let Some(index) = ready.pop_first() {
        order.push_back(index);
        for &down in &downstream[index] {
            open[down] -= 1;
            if open[down] == 0 {
                ready.insert(down);
            }
        }
    }
    if order.len() < tasks.len() {
        return Order::Cycle(find_cycle(&tasks, &upstream, &open));
    }
    let mut slots: Vec<Option<TaskSpec>> = tasks.into_iter().map(Some).collect();
    Order::Sorted(order.into_iter().filter_map(|index| slots[index].take()).collect())
}

/// What separates the tasks of a cycle in the messages of this crate.
const ARROW: &str = " → ";

/// A cycle in the words of an error.
pub(crate) fn cycle_words(what: &str, path: &[TaskId]) -> String {
    let path: Vec<&str> = path.iter().map(TaskId::as_str).collect();
    format!("{what}: {}", path.join(ARROW))
}

/// The cycle that [`cycle_words`] put into an error, and what it says before.
pub(crate) fn cycle_in(message: &str) -> Option<(&str, Vec<String>)> {
    let (what, path) = message.rsplit_once(": ").filter(|(what, _)| what.ends_with("wait for each other"))?;
    Some((what, path.split(ARROW).map(ToOwned::to_owned).collect()))
}

/// Every task with an open upstream has one that is open itself, so walking upstream must come round.
fn find_cycle(tasks: &[TaskSpec], upstream: &[Vec<usize>], open: &[usize]) -> Vec<TaskId> {
    let mut path: Vec<usize> = Vec::new();
    let mut current = open.iter().position(|&count| count > 0);
    while let Some(index) = current {
        if let Some(start) = path.iter().position(|&seen| seen == index) {
            let mut cycle: Vec<TaskId> = path[start..].iter().map(|&at| tasks[at].task_id.clone()).collect();
            cycle.push(tasks[index].task_id.clone());
            // Walked upstream, shown downstream.
            cycle.reverse();
            return cycle;
        }
        path.push(index);
        current = upstream[index].iter().copied().find(|&up| open[up] > 0);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_types::Operator;

    fn task(id: &str, upstream: &[&str]) -> TaskSpec {
        let mut task = TaskSpec::new(id, Operator::Empty);
        task.upstream = upstream.iter().map(|&id| id.into()).collect();
        task
    }

    #[test]
    fn upstream_comes_first_and_the_rest_keeps_its_order() {
        let tasks = vec![task("z", &["b"]), task("c", &[]), task("b", &["a", "a", "ghost"]), task("a", &[])];
        let Order::Sorted(tasks) = in_order(tasks) else { panic!("there is no cycle") };
        let ids: Vec<_> = tasks.iter().map(|task| task.task_id.as_str()).collect();
        assert_eq!(ids, ["c", "a", "b", "z"]);
    }

    #[test]
    fn a_cycle_is_shown_as_it_flows() {
        let tasks = vec![
            task("start", &[]),
            task("a", &["start", "c"]),
            task("b", &["a"]),
            task("c", &["b"]),
            task("end", &["c"]),
        ];
        let Order::Cycle(path) = in_order(tasks) else { panic!("there is a cycle") };
        let path: Vec<_> = path.iter().map(TaskId::as_str).collect();
        assert_eq!(path.first(), path.last());
        assert_eq!(path.len(), 4);
        for pair in path.windows(2) {
            assert!([("a", "b"), ("b", "c"), ("c", "a")].contains(&(pair[0], pair[1])), "{pair:?}");
        }
    }
}
