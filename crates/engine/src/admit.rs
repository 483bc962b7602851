//! Admission: from `scheduled` to `queued`, best first, under pools, `parallelism` and the concurrency limits
//! (semantics E4).
//!
//! Each run keeps its ready instances in groups (one pool, one number of slots, the same limits). A group shows its first
//! instance to the pool while nothing about the run holds it; while a limit over all runs is reached it is parked there, so
//! that a release wakes one entry and nothing is ever searched through.

use tradewind_types::{Hint, RunState, TaskState, hint_score};

use crate::{
    Dispatch, Effects, Engine,
    engine::plus,
    memory::{At, Due, LimitOn, Limiter, Rank},
};

impl Engine {
    /// The limiter of a limit over all runs.
    pub(crate) fn limiter(&mut self, on: LimitOn) -> u32 {
        if let Some(&at) = self.limiter_at.get(&on) {
            return at;
        }
        let at = crate::graph::index(self.limiters.len());
        self.limiters.push(Limiter { on: on.clone(), active: 0, parked: std::collections::BTreeMap::new() });
        self.limiter_at.insert(on, at);
        at
    }

    /// Brings what the pool sees of a group up to date.
    pub(crate) fn show_group(&mut self, run_at: u32, group_at: u32) {
        let run = &self.runs[run_at];
        let dag = &self.dags[run.dag as usize];
        let group = &run.groups[group_at as usize];
        let held = dag.row.is_paused
            || run.row.state != RunState::Running
            || run.active >= run.graph.version.spec.max_active_tasks
            || group.task.is_some_and(|task| {
                let limit = run.graph.spec(task).max_active_tis_per_dagrun;
                limit.is_some_and(|limit| run.active_of[task as usize] >= limit)
            });
        let first = if held { None } else { group.ready.first().copied() };
        let full = first.and_then(|rank| Some((self.full_limit(&group.limits)?, rank)));
        let shown = if full.is_some() { None } else { first };
        let (was_shown, was_parked) = (group.shown, group.parked);
        if shown == was_shown && full == was_parked {
            return;
        }
        let (pool, need) = (group.pool, group.need);
        if was_parked != full {
            let limits = group.limits.clone();
            if let Some((place, rank)) = was_parked {
                let (limiter, limit) = limits[place];
                let parked = &mut self.limiters[limiter as usize].parked;
                if let Some(set) = parked.get_mut(&(pool, need, limit)) {
                    set.remove(&rank);
                    if set.is_empty() {
                        parked.remove(&(pool, need, limit));
                    }
                }
            }
            if let Some((place, rank)) = full {
                let (limiter, limit) = limits[place];
                self.limiters[limiter as usize].parked.entry((pool, need, limit)).or_default().insert(rank);
            }
        }
        let group = &mut self.runs[run_at].groups[group_at as usize];
        group.shown = shown;
        group.parked = full;
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
        // The place that it was offered at a limit is free for another, when it cannot take it.
        if let Some((place, _)) = was_parked
            && shown.is_none()
            && full.is_none_or(|(now, _)| now != place)
        {
            let (limiter, _) = self.runs[run_at].groups[group_at as usize].limits[place];
            self.unpark(limiter);
        }
        // It gave up its place at its limits: another group may take it.
        if was_shown.is_some() && shown.is_none() {
            for (limiter, _) in self.runs[run_at].groups[group_at as usize].limits.clone() {
                self.unpark(limiter);
            }
        }
    }

    /// The first of `limits` that is reached.
    fn full_limit(&self, limits: &[(u32, u32)]) -> Option<usize> {
        limits.iter().position(|&(limiter, limit)| self.limiters[limiter as usize].active >= limit)
    }

    /// Shows the best parked group of each kind, where the limit has room again.
    pub(crate) fn unpark(&mut self, limiter: u32) {
        let limiter = &self.limiters[limiter as usize];
        let active = limiter.active;
        let best: smallvec::SmallVec<[Rank; 2]> = limiter
            .parked
            .iter()
            .filter(|((_, _, limit), _)| active < *limit)
            .filter_map(|(_, set)| set.first().copied())
            .collect();
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
        let Some(&(rank, pool)) = self.heads.first() else {
            return false;
        };
        let at = rank.at;
        let run = &self.runs[at.run];
        let group = run.graph.node(run.ti(at.ti).task).group;
        if self.full_limit(&run.groups[group as usize].limits).is_some() {
            // Another group took the last place since this one was shown: park it.
            self.show_group(at.run, group);
            return true;
        }
        self.note_start(pool);
        self.enqueue(at, effects);
        true
    }

    /// Counts a start against the pool's rate limit, and sets the timer for when it has room again.
    fn note_start(&mut self, pool_at: u32) {
        let now = self.now;
        let pool = &mut self.pools[pool_at as usize];
        let Some(rate) = pool.config.as_ref().and_then(|pool| pool.rate) else { return };
        pool.started.push_back(now);
        if pool.started.len() >= rate.starts as usize
            && let Some(&oldest) = pool.started.front()
        {
            self.set_timer(rate_ends(oldest, rate), Due::Rate { pool: pool_at });
        }
    }

    /// Forgets starts that count no more against a pool's rate limit.
    pub(crate) fn renew_rate(&mut self, pool_at: u32) {
        let now = self.now;
        let pool = &mut self.pools[pool_at as usize];
        let rate = pool.config.as_ref().and_then(|pool| pool.rate);
        while let Some(&oldest) = pool.started.front()
            && rate.is_none_or(|rate| rate_ends(oldest, rate) <= now)
        {
            pool.started.pop_front();
        }
        self.refresh_pool(pool_at);
        // There may be more starts than the rate allows: it was lowered, or a former leader's are counted.
        if let Some(opens) = self.rate_opens(pool_at) {
            self.set_timer(opens, Due::Rate { pool: pool_at });
        }
    }

    /// When a pool that started as many as its rate allows may start the next.
    pub(crate) fn rate_opens(&self, pool_at: u32) -> Option<tradewind_types::Timestamp> {
        let pool = &self.pools[pool_at as usize];
        let rate = pool.config.as_ref()?.rate?;
        let full = pool.started.len() >= rate.starts as usize;
        pool.started.front().filter(|_| full).map(|&oldest| rate_ends(oldest, rate))
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

/// When a start stops counting.
fn rate_ends(started: tradewind_types::Timestamp, rate: tradewind_types::RateLimit) -> tradewind_types::Timestamp {
    plus(started, std::time::Duration::from_secs(u64::from(rate.per_secs)))
}
