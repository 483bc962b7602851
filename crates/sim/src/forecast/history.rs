//! How long tasks took so far.

use std::{collections::HashMap, time::Duration};

use tradewind_types::{DagId, TaskId};

/// How long tasks usually take, and how long the lists are that they leave.
#[derive(Clone, Debug)]
pub struct History {
    durations: HashMap<(DagId, TaskId), Vec<Duration>>,
    lengths: HashMap<(DagId, TaskId), Vec<u32>>,
    default: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self::new(Duration::from_secs(60))
    }
}

impl History {
    /// Nothing is known yet; tasks of which nothing is known take `default`.
    pub fn new(default: Duration) -> Self {
        Self { durations: HashMap::new(), lengths: HashMap::new(), default }
    }

    /// Notes how long an instance of a task took.
    pub fn took(&mut self, dag_id: &DagId, task_id: &TaskId, duration: Duration) {
        self.durations.entry((dag_id.clone(), task_id.clone())).or_default().push(duration);
    }

    /// Notes how long a list was that a task left for tasks that are mapped over it.
    pub fn left(&mut self, dag_id: &DagId, task_id: &TaskId, length: u32) {
        self.lengths.entry((dag_id.clone(), task_id.clone())).or_default().push(length);
    }

    /// Whether anything is known of a task.
    pub fn knows(&self, dag_id: &DagId, task_id: &TaskId) -> bool {
        self.durations.contains_key(&(dag_id.clone(), task_id.clone()))
    }

    /// The median of what a task took; never nothing, so that time goes on.
    pub(super) fn duration(&self, dag_id: &DagId, task_id: &TaskId) -> Duration {
        let known = self.durations.get(&(dag_id.clone(), task_id.clone()));
        known.and_then(|known| median(known)).unwrap_or(self.default).max(Duration::from_millis(1))
    }

    /// The median length of what a task left; 1 where nothing is known.
    pub(super) fn length(&self, dag_id: &DagId, task_id: &TaskId) -> u32 {
        self.lengths.get(&(dag_id.clone(), task_id.clone())).and_then(|known| median(known)).unwrap_or(1)
    }
}

/// The lower median.
pub(super) fn median<T: Copy + Ord>(values: &[T]) -> Option<T> {
    percentile(values, 50)
}

/// The smallest value that at least `percent` of a hundred do not exceed.
pub(super) fn percentile<T: Copy + Ord>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
