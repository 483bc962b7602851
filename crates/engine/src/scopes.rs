//! Setup and teardown: which tasks wait for which setups, and which lie between a teardown and its setups.

use tradewind_types::DagVersion;

use crate::graph::index;

/// Who waits for which setups, and which tasks lie between a teardown and its setups.
pub(crate) struct Scopes {
    pub(crate) setups: Vec<Vec<u32>>,
    pub(crate) setup_watchers: Vec<Vec<u32>>,
    pub(crate) scope_watchers: Vec<Vec<u32>>,
    pub(crate) scopes: Vec<Vec<u32>>,
    pub(crate) sizes: Vec<u32>,
}

impl Scopes {
    pub(crate) fn find(version: &DagVersion, up: &[Vec<u32>], down: &[Vec<u32>]) -> Self {
        let tasks = &version.spec.tasks;
        let count = tasks.len();
        let mut scopes = Self {
            setups: vec![Vec::new(); count],
            setup_watchers: vec![Vec::new(); count],
            scope_watchers: vec![Vec::new(); count],
            scopes: vec![Vec::new(); count],
            sizes: vec![0; count],
        };
        if !tasks.iter().any(|task| task.is_setup || task.is_teardown) {
            return scopes;
        }
        let reach = |from: u32, along: &[Vec<u32>]| {
            let mut seen = vec![false; count];
            let mut stack = along[from as usize].clone();
            while let Some(task) = stack.pop() {
                if !std::mem::replace(&mut seen[task as usize], true) {
                    stack.extend_from_slice(&along[task as usize]);
                }
            }
            seen
        };
        let setups = (0..count).filter(|&position| tasks[position].is_setup);
        for setup in setups {
            let below = reach(index(setup), down);
            let teardowns: Vec<u32> =
                down[setup].iter().copied().filter(|&task| tasks[task as usize].is_teardown).collect();
            // A setup is relevant to what lies between it and one of its teardowns, or to all below it without any.
            let mut relevant = if teardowns.is_empty() { below.clone() } else { vec![false; count] };
            for &teardown in &teardowns {
                for (task, above) in reach(teardown, up).into_iter().enumerate() {
                    if above && below[task] {
                        relevant[task] = true;
                        let watchers = &mut scopes.scope_watchers[task];
                        if !watchers.contains(&teardown) && !up[teardown as usize].contains(&index(task)) {
                            watchers.push(teardown);
                            scopes.scopes[teardown as usize].push(index(task));
                            scopes.sizes[teardown as usize] += 1;
                        }
                    }
                }
            }
            for (task, relevant) in relevant.into_iter().enumerate() {
                if relevant && !tasks[task].is_teardown && !up[task].contains(&index(setup)) {
                    scopes.setups[task].push(index(setup));
                    scopes.setup_watchers[setup].push(index(task));
                }
            }
        }
        scopes
    }
}
