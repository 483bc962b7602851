//! Admission: from `scheduled` to `queued`, best first, under pools, `parallelism` and the concurrency limits
//! (semantics E4).
//!
//! Each run keeps its ready instances in groups (one pool, one number of slots, one limited task). A group shows its first
//! instance to the pool while nothing about the run or task holds it, so that a release wakes one entry and nothing is
//! ever searched through.

use tradewind_types::{Hint, RunState, TaskState, hint_score};

use crate::{
    Dispatch, Effects, Engine,
    memory::{At, Rank},
};

impl Engine {
    /// Brings what the pool sees of a group up to date.
    pub(crate) fn show_group(&mut self, run_at: u32, group_at: u32) {
        let run = &self.runs[run_at];
        let dag_at = run.dag;
        let dag = &self.dags[dag_at as usize];
        let group = &run.groups[group_at as usize];
        let spec = group.task.map(|task| (task, run.graph.spec(task)));
        let held = dag.row.is_paused
            || run.row.state != RunState::Running
            || run.active >= run.graph.version.spec.max_active_tasks
            || spec.is_some_and(|(task, spec)| {
                spec.max_active_tis_per_dagrun.is_some_and(|limit| run.active_of[task as usize] >= limit)
            });
        let first = if held { None } else { group.ready.first().copied() };
        let full = first.is_some()
            && spec.is_some_and(|(_, spec)| {
                spec.max_active_tis_per_dag
                    .is_some_and(|limit| dag.limiters.get(&spec.task_id).is_some_and(|limiter| limiter.active >= limit))
            });
        let (pool, need) = (group.pool, group.need);
        let (was_shown, was_parked) = (group.shown, group.parked);
        let (shown, parked) = if full { (None, first) } else { (first, None) };
        if shown == was_shown && parked == was_parked {
            return;
        }
        if was_parked != parked
            && let Some((_, spec)) = spec
        {
            let task_id = spec.task_id.clone();
            let limiter = self.dags[dag_at as usize].limiters.entry(task_id).or_default();
            let set = limiter.parked.entry((pool, need)).or_default();
            if let Some(rank) = was_parked {
                set.remove(&rank);
            }
            if let Some(rank) = parked {
                set.insert(rank);
            }
            if set.is_empty() {
                limiter.parked.remove(&(pool, need));
            }
        }
        let group = &mut self.runs[run_at].groups[group_at as usize];
        group.shown = shown;
        group.parked = parked;
        let task = group.task;
        if was_shown != shown {
            let set = self.pools[pool as usize].ready.entry(need).or_default();
            if let Some(rank) = was_shown {
                set.remove(&rank);
            }
            if let Some(rank) = shown {
                set.insert(rank);
            }
            self.refresh_pool(pool);
        }
        // It gave up its place at a limited task: another run may take it.
        if was_shown.is_some()
            && shown.is_none()
            && parked.is_none()
            && let Some(task) = task
        {
            self.unpark(dag_at, run_at, task);
        }
    }

    /// Shows the best parked group of each kind, if the task's limit over all runs has room again.
    pub(crate) fn unpark(&mut self, dag: u32, run: u32, task: u32) {
        let task_id = &self.runs[run].graph.spec(task).task_id;
        let Some(limiter) = self.dags[dag as usize].limiters.get(task_id) else {
            return;
        };
        let best: smallvec::SmallVec<[Rank; 2]> =
            limiter.parked.values().filter_map(|set| set.first().copied()).collect();
        for rank in best {
            let run = &self.runs[rank.at.run];
            let group = run.graph.node(run.ti(rank.at.ti).task).group;
            self.show_group(rank.at.run, group);
        }
    }

    /// Brings a pool's entry in the list of heads up to date: its best ready instance that it has room for.
    pub(crate) fn refresh_pool(&mut self, pool_at: u32) {
        let pool = &mut self.pools[pool_at as usize];
        let open = pool.open();
        let room = u32::try_from(open.max(0)).unwrap_or(u32::MAX);
        let best = pool.ready.range(..=room).filter_map(|(_, set)| set.first().copied()).min();
        if best != pool.head {
            if let Some(rank) = pool.head {
                self.heads.remove(&(rank, pool_at));
            }
            pool.head = best;
            if let Some(rank) = best {
                self.heads.insert((rank, pool_at));
            }
        }
    }

    /// Admits the best instance that may be admitted; `false` when there is none.
    pub(crate) fn admit_next(&mut self, effects: &mut Effects) -> bool {
        if self.executing >= self.options.parallelism {
            return false;
        }
        let Some(&(rank, _)) = self.heads.first() else {
            return false;
        };
        let at = rank.at;
        let run = &self.runs[at.run];
        let node = run.graph.node(run.ti(at.ti).task);
        if let Some(task) = run.groups[node.group as usize].task {
            let spec = run.graph.spec(task);
            let full = spec.max_active_tis_per_dag.is_some_and(|limit| {
                self.dags[run.dag as usize].limiters.get(&spec.task_id).is_some_and(|limiter| limiter.active >= limit)
            });
            if full {
                // Another run took the last place since this one was shown: park it.
                let group = node.group;
                self.show_group(at.run, group);
                return true;
            }
        }
        self.enqueue(at, effects);
        true
    }

    /// Dispatches an instance: the next attempt of it waits in its queue. Also for an attempt that a worker gives back:
    /// it keeps its slot.
    pub(crate) fn enqueue(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.attempt = row.attempt.saturating_add(1);
        row.queued_at = Some(now);
        row.end_date = None;
        self.set_state(at, TaskState::Queued);
        // Only now: the old token had to leave the index with the old state.
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.token = None;
        row.worker = None;
        row.note = None;
        self.push_hint(at, effects);
    }

    fn push_hint(&self, at: At, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        effects.dispatch.push(Dispatch::Push(Hint {
            queue: row.queue.clone(),
            key: row.key(),
            score: hint_score(row.queued_at.unwrap_or(self.now), row.priority_weight),
        }));
    }

    /// Takes the hint of a queued instance back.
    pub(crate) fn forget_hint(&self, at: At, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        effects.dispatch.push(Dispatch::Forget { queue: row.queue.clone(), key: row.key() });
    }
}
