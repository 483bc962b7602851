//! The one place where a task instance changes its state: every counter, set and index follows here.

use tradewind_types::{TaskState, hint_score};

use crate::{
    Engine,
    memory::{At, LimitOn, Run},
};

/// Whether a task instance may go from one state to another (Airflow's states, semantics E2).
pub const fn is_legal(from: TaskState, to: TaskState) -> bool {
    use TaskState::{
        AwaitingInput, Deferred, Failed, NoStatus, Queued, Removed, Restarting, Running, Scheduled, Skipped, Success,
        UpForReschedule, UpForRetry, UpstreamFailed,
    };
    match from {
        // Waiting: it becomes ready, is settled by its trigger rule or by a person, or (without work) succeeds at once.
        NoStatus => matches!(to, Scheduled | Deferred | Success | Failed | Skipped | UpstreamFailed | Removed),
        Scheduled => matches!(to, Queued | NoStatus | Success | Failed | Skipped | UpstreamFailed | Removed),
        Queued => matches!(to, Running | NoStatus | Success | Failed | Skipped | Removed),
        Running => {
            matches!(
                to,
                Success
                    | Failed
                    | Skipped
                    | UpForRetry
                    | UpForReschedule
                    | Deferred
                    | AwaitingInput
                    | Restarting
                    | Queued
                    | Removed
            )
        }
        Restarting => matches!(to, NoStatus | Success | Failed | Skipped | Removed),
        UpForRetry | UpForReschedule => {
            matches!(to, Scheduled | Deferred | NoStatus | Success | Failed | Skipped | UpstreamFailed | Removed)
        }
        Deferred | AwaitingInput => {
            matches!(to, Scheduled | NoStatus | Success | Failed | Skipped | Removed)
        }
        // Terminal is final, unless a person clears or marks it.
        Success | Failed | Skipped | UpstreamFailed | Removed => {
            matches!(to, NoStatus | Success | Failed | Skipped | Removed)
        }
    }
}

/// Whether it will move by itself, given time and workers.
pub(crate) const fn is_live(state: TaskState) -> bool {
    !matches!(state, TaskState::NoStatus) && !state.is_finished()
}

/// Whether it counts for a limit over all runs.
pub(crate) const fn counts_for(on: &LimitOn, state: TaskState) -> bool {
    if matches!(on, LimitOn::Task(..)) { counts_for_task(state) } else { state.is_executing() }
}

/// Whether it counts for `max_active_tis_per_dag` and `max_active_tis_per_dagrun`.
pub(crate) const fn counts_for_task(state: TaskState) -> bool {
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
        if old == TaskState::Deferred {
            self.leave_host(at);
        }
        let run = &mut self.runs[at.run];
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
        let limits = run.groups[group as usize].limits.clone();
        let limited = run.groups[group as usize].task.is_some() || !limits.is_empty();
        if !run.active_of.is_empty() {
            step(&mut run.active_of[task as usize], counts_for_task(old), counts_for_task(new));
        }
        for &(limiter, _) in &limits {
            let limiter = &mut self.limiters[limiter as usize];
            step(&mut limiter.active, counts_for(&limiter.on, old), counts_for(&limiter.on, new));
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
        for (limiter, _) in limits {
            let on = &self.limiters[limiter as usize].on;
            if counts_for(on, old) && !counts_for(on, new) {
                self.unpark(limiter);
            }
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
        let Run { graph, tis, tallies, .. } = run;
        let task = tis[at.ti as usize].task;
        if let Some(tally) = tallies.get_mut(task as usize) {
            if let Some(slot) = tally.slot(old) {
                *slot -= 1;
            }
            if let Some(slot) = tally.slot(new) {
                *slot += 1;
            }
        }
        // Without mapping around it, a task has one instance, at the task's own position.
        for &below in graph.down.of(task) {
            if graph.node(below).dynamic {
                continue;
            }
            let counts = &mut tis[below as usize].up;
            if let Some(slot) = counts.slot(old) {
                *slot -= 1;
            }
            if let Some(slot) = counts.slot(new) {
                *slot += 1;
            }
        }
        if graph.mapped {
            return;
        }
        for &teardown in graph.scope_watchers.of(task) {
            step(&mut tis[teardown as usize].scope_done, old.is_finished(), new.is_finished());
        }
    }
}
