//! Which tasks belong together when some are cleared (Airflow `SerializedDAG.partial_subset`,
//! `models/taskinstance.py:find_relevant_relatives`): a task's setups and teardowns come with it.

use crate::graph::Graph;

impl Graph {
    /// Marks everything that clearing `tasks` is about: the tasks, their upstream, then the downstream of all these, and the
    /// setups and teardowns that they need.
    pub(crate) fn selection(&self, tasks: &[u32], upstream: bool, downstream: bool) -> Vec<bool> {
        let mut chosen = vec![false; self.nodes.len()];
        for &task in tasks {
            chosen[task as usize] = true;
        }
        if upstream || !downstream {
            self.add_relatives(&mut chosen, upstream, false);
        }
        if downstream {
            self.add_relatives(&mut chosen, false, true);
        }
        chosen
    }

    fn add_relatives(&self, chosen: &mut [bool], upstream: bool, downstream: bool) {
        let matched: Vec<u32> = (0..crate::graph::index(chosen.len())).filter(|&task| chosen[task as usize]).collect();
        let is_matched = chosen.to_vec();
        let has_scopes = self.version.spec.tasks.iter().any(|task| task.is_setup || task.is_teardown);
        for &task in &matched {
            if downstream {
                for below in self.beyond(task, false) {
                    chosen[below as usize] = true;
                    if has_scopes && !is_matched[below as usize] && !self.is_scope_end(below) {
                        self.add_setups(below, chosen);
                    }
                }
            }
            if upstream {
                for above in self.beyond(task, true) {
                    chosen[above as usize] = true;
                    if self.spec(above).is_setup {
                        self.add_teardowns(above, task, chosen);
                    }
                }
            } else if has_scopes && !self.is_scope_end(task) {
                self.add_setups(task, chosen);
            }
            if self.spec(task).is_setup && !downstream {
                self.add_teardowns(task, task, chosen);
            }
        }
    }

    fn is_scope_end(&self, task: u32) -> bool {
        self.spec(task).is_setup || self.spec(task).is_teardown
    }

    /// Everything that can be reached from a task, without it.
    fn beyond(&self, task: u32, upstream: bool) -> Vec<u32> {
        let along = if upstream { &self.up } else { &self.down };
        let mut seen = self.reach(along.of(task), along);
        seen[task as usize] = false;
        (0..crate::graph::index(seen.len())).filter(|&other| seen[other as usize]).collect()
    }

    fn add_teardowns(&self, setup: u32, but: u32, chosen: &mut [bool]) {
        for &below in self.down.of(setup) {
            if self.spec(below).is_teardown && below != but {
                chosen[below as usize] = true;
            }
        }
    }

    /// The setups above a task that have a teardown below it, or none at all, and their teardowns.
    fn add_setups(&self, task: u32, chosen: &mut [bool]) {
        let below = self.reach(self.down.of(task), &self.down);
        for above in self.beyond(task, true) {
            if !self.spec(above).is_setup {
                continue;
            }
            let mut teardowns = self.down.of(above).iter().filter(|&&other| self.spec(other).is_teardown).peekable();
            if teardowns.peek().is_none() || teardowns.any(|&teardown| below[teardown as usize]) {
                chosen[above as usize] = true;
                self.add_teardowns(above, task, chosen);
            }
        }
    }
}
