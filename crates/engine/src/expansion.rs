//! What the tasks of a DAG are mapped over, worked out once a version.

use std::collections::HashMap;

use tradewind_types::{DagVersion, Expand, TaskId};

use crate::graph::index;

/// No expansion: the task is not mapped.
pub(crate) const UNEXPANDED: u32 = u32::MAX;

/// What tasks are mapped over: a task's own, or that of a mapped task group, which all its tasks share.
#[derive(Debug)]
pub(crate) struct Expansion {
    pub(crate) expand: Expand,
    /// The tasks whose XComs decide the length.
    pub(crate) deps: Vec<u32>,
}

/// What each task is mapped over.
pub(crate) struct Mapping {
    pub(crate) of: Vec<u32>,
    pub(crate) expansions: Vec<Expansion>,
    pub(crate) consumers: Vec<Vec<u32>>,
}

impl Mapping {
    pub(crate) fn find(version: &DagVersion, index_of: &HashMap<TaskId, u32>) -> Self {
        let spec = &version.spec;
        let count = spec.tasks.len();
        let mut found =
            Self { of: vec![UNEXPANDED; count], expansions: Vec::new(), consumers: vec![Vec::new(); count] };
        let mut groups: HashMap<&str, u32> = HashMap::new();
        for (position, task) in spec.tasks.iter().enumerate() {
            let at = if let Some(expand) = &task.expand {
                found.add(expand, index_of)
            } else if let Some(group_id) = task.mapped_group.as_deref() {
                match groups.get(group_id) {
                    Some(&at) => at,
                    None => {
                        let group = spec.task_groups.iter().find(|group| group.group_id == group_id);
                        let Some(expand) = group.and_then(|group| group.expand.as_ref()) else { continue };
                        let at = found.add(expand, index_of);
                        groups.insert(group_id, at);
                        at
                    }
                }
            } else {
                continue;
            };
            found.of[position] = at;
            for &dep in &found.expansions[at as usize].deps {
                found.consumers[dep as usize].push(index(position));
            }
        }
        found
    }

    fn add(&mut self, expand: &Expand, index_of: &HashMap<TaskId, u32>) -> u32 {
        let deps = expand.dependencies().into_iter().filter_map(|task_id| index_of.get(task_id).copied()).collect();
        self.expansions.push(Expansion { expand: expand.clone(), deps });
        index(self.expansions.len() - 1)
    }
}
