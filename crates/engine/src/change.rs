//! The one place where a task instance changes its state: every counter, set and index follows here.

use tradewind_types::{TaskState, hint_score};

use crate::{
    Engine,
    memory::{At, Run},
};

/// Whether a task instance may go from one state to another (Airflow's states, semantics E2).
pub const fn is_legal(from: TaskState, to: TaskState) -> bool {
    use TaskState::{
        Deferred, Failed, NoStatus, Queued, Removed, Restarting, Running, Scheduled, Skipped, Success, UpForReschedule,
        UpForRetry, UpstreamFailed,
    };
    match from {
        // Waiting: it becomes ready, is settled by its trigger rule or by a person, or (without work) succeeds at once.
        NoStatus => matches!(to, Scheduled | Success | Failed | Skipped | UpstreamFailed | Removed),
        Scheduled => matches!(to, Queued | NoStatus | Success | Failed | Skipped | UpstreamFailed),
        Queued => matches!(to, Running | NoStatus | Success | Failed | Skipped),
        Running => {
            matches!(to, Success | Failed | Skipped | UpForRetry | UpForReschedule | Deferred | Restarting | Queued)
        }
        Restarting => matches!(to, NoStatus | Success | Failed | Skipped),
        UpForRetry | UpForReschedule => {
            matches!(to, Scheduled | NoStatus | Success | Failed | Skipped | UpstreamFailed | Removed)
        }
        Deferred | TaskState::AwaitingInput => {
            matches!(to, Scheduled | NoStatus | Success | Failed | Skipped)
        }
        // Terminal is final, unless a person clears or marks it.
        Success | Failed | Skipped | UpstreamFailed | Removed => {
            matches!(to, NoStatus | Success | Failed | Skipped)
        }
    }
}

/// Whether it will move by itself, given time and workers.
pub(crate) const fn is_live(state: TaskState) -> bool {
    !matches!(state, TaskState::NoStatus) && !state.is_finished()
}

/// Whether it counts for `max_active_tis_per_dag` and `max_active_tis_per_dagrun`.
const fn counts_for_task(state: TaskState) -> bool {
    state.is_executing() || matches!(state, TaskState::Deferred | TaskState::AwaitingInput)
}

fn step(counter: &mut u32, was: bool, is: bool) {
    match (was, is) {
        (false, true) => *counter += 1,
        (true, false) => *counter -= 1,
        _ => {}
    }
}

fn step_by(counter: &mut u64, was: bool, is: bool, amount: u64) {
    match (was, is) {
        (false, true) => *counter += amount,
        (true, false) => *counter -= amount,
        _ => {}
    }
}

impl Engine {
    /// Moves an instance to `new`. The row's `attempt`, `queued_at` and `token` must be right for the new state before a
    /// move into it, and still be those of the old state when it is left.
    pub(crate) fn set_state(&mut self, at: At, new: TaskState) {
        let run = &mut self.runs[at.run];
        let rank = run.rank(at);
        let ti = &mut run.tis[at.ti as usize];
        let old = ti.row.state;
        if old == new {
            return;
        }
        debug_assert!(
            is_legal(old, new),
            "{} {}: {old} -> {new} is no legal transition",
            ti.row.run_id,
            ti.row.task_id
        );
        ti.row.state = new;
        self.by_state[old as usize] -= 1;
        self.by_state[new as usize] += 1;
        let task = ti.task;
        let key = ti.row.key();
        let token = ti.row.token;
        let score = ti.row.queued_at.map(|queued_at| hint_score(queued_at, ti.row.priority_weight));
        let queued_at = ti.row.queued_at;

        step(&mut run.unfinished, !old.is_finished(), !new.is_finished());
        step(&mut run.live, is_live(old), is_live(new));
        let active_before = run.active;
        step(&mut run.active, old.is_executing(), new.is_executing());
        step(&mut self.executing, old.is_executing(), new.is_executing());
        let limit = run.graph.version.spec.max_active_tasks;
        let crossed = (active_before >= limit) != (run.active >= limit);
        let node = run.graph.node(task);
        let group = node.group;
        let queue = run.queues[node.queue as usize];
        let dag = run.dag;
        let run_settled = !run.row.state.is_finished() && (run.unfinished == 0 || run.live == 0);

        // Where it stands in its pool.
        let (pool, need) = {
            let group = &run.groups[group as usize];
            (group.pool, u64::from(group.need))
        };
        let state = &mut self.pools[pool as usize];
        let runs = |state| matches!(state, TaskState::Running | TaskState::Restarting);
        step_by(&mut state.running, runs(old), runs(new), need);
        for (counter, which) in [
            (&mut state.queued, TaskState::Queued),
            (&mut state.scheduled, TaskState::Scheduled),
            (&mut state.deferred, TaskState::Deferred),
        ] {
            step_by(counter, old == which, new == which, need);
        }

        // Where it stands in its queue.
        let queue = &mut self.queues[queue as usize];
        step_by(&mut queue.running, runs(old), runs(new), 1);
        if let (Some(score), Some(queued_at)) = (score, queued_at) {
            if old == TaskState::Queued {
                queue.remove(score, key);
            } else if new == TaskState::Queued {
                queue.insert(score, key, queued_at);
            }
        }
        if let Some(token) = token {
            if new == TaskState::Running {
                self.tokens.insert(token, at);
            } else if runs(old) && !runs(new) {
                self.tokens.remove(&token);
            }
        }
        if new == TaskState::Restarting {
            self.restarting.push(at);
        } else if old == TaskState::Restarting {
            self.restarting.retain(|other| *other != at);
        }

        // Its task's own limits.
        let counted = (counts_for_task(old), counts_for_task(new));
        let limited = run.groups[group as usize].task.is_some();
        if limited && counted.0 != counted.1 {
            step(&mut run.active_of[task as usize], counted.0, counted.1);
            let task_id = run.graph.spec(task).task_id.clone();
            let limiter = self.dags[dag as usize].limiters.entry(task_id).or_default();
            step(&mut limiter.active, counted.0, counted.1);
        }

        // Whether it waits for admission.
        let ready = &mut self.runs[at.run].groups[group as usize].ready;
        if old == TaskState::Scheduled {
            ready.remove(&rank);
        } else if new == TaskState::Scheduled {
            ready.insert(rank);
        }
        if crossed {
            for group in 0..self.runs[at.run].groups.len() {
                self.show_group(at.run, crate::graph::index(group));
            }
        } else if old == TaskState::Scheduled || new == TaskState::Scheduled || limited {
            self.show_group(at.run, group);
        }
        if limited && counted.0 && !counted.1 {
            self.unpark(dag, at.run, task);
        }
        self.refresh_pool(pool);

        // Who waits for it.
        if old.is_finished() || new.is_finished() {
            self.count_upstream(at, old, new);
            if new.is_finished() {
                self.work.ended.push(at);
            }
        }
        if run_settled {
            self.look_at_run(at.run);
        }
        self.touch_ti(at);
    }

    /// Keeps the counters of what lies directly downstream, and of teardowns around it.
    fn count_upstream(&mut self, at: At, old: TaskState, new: TaskState) {
        let run = &mut self.runs[at.run];
        let Run { graph, tis, .. } = run;
        let task = tis[at.ti as usize].task;
        // One instance a task for now: the position of the task is that of the instance.
        for &below in graph.down.of(task) {
            let counts = &mut tis[below as usize].up;
            if let Some(slot) = counts.slot(old) {
                *slot -= 1;
            }
            if let Some(slot) = counts.slot(new) {
                *slot += 1;
            }
        }
        for &teardown in graph.scope_watchers.of(task) {
            step(&mut tis[teardown as usize].scope_done, old.is_finished(), new.is_finished());
        }
    }
}
