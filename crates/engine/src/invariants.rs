//! What must always hold. Everything that the engine counts is counted again from the rows and compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tradewind_types::{CallbackState, RunState, RunType, TaskState, hint_score};

use crate::{
    Engine,
    change::{counts_for, counts_for_task, is_live},
    graph::index,
    memory::{At, Rank, Run},
    ready::verdict,
    rules::{UpstreamCounts, Verdict},
};

impl Engine {
    /// Checks the engine's memory against itself; empty when all is well. Costs time in proportion to everything in
    /// memory: for tests, the simulator and a slow background check.
    pub fn check_invariants(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut tally = Tally::default();
        for (position, run) in self.runs.iter() {
            self.check_one_run(position, run, &mut tally, &mut wrong);
        }
        self.check_callbacks(&mut tally, &mut wrong);
        self.check_limiters(&tally, &mut wrong);
        self.check_backfills(&mut wrong);
        self.check_pools(&tally, &mut wrong);
        self.check_queues(&tally, &mut wrong);
        self.check_dags(&mut wrong);
        let mut same = |what: &str, kept: u64, counted: u64| {
            if kept != counted {
                wrong.push(format!("{what}: kept {kept}, counted {counted}"));
            }
        };
        same("executing", u64::from(self.executing), u64::from(tally.executing));
        same("task ids", self.tis.len() as u64, tally.instances);
        same("tokens", self.tokens.len() as u64, tally.running);
        same("restarting", self.restarting.len() as u64, tally.restarting);
        for state in TaskState::ALL {
            same(state.as_str(), self.by_state[*state as usize], tally.by_state[*state as usize]);
        }
        if self.executing < self.options.parallelism && !self.heads.is_empty() {
            wrong.push("something could be admitted and was not".to_owned());
        }
        wrong
    }

    fn check_one_run(&self, position: u32, run: &Run, tally: &mut Tally, wrong: &mut Vec<String>) {
        let name = format!("{}/{}", run.row.dag_id, run.row.run_id);
        let mut note = |text: String| wrong.push(format!("{name}: {text}"));
        let dag = &self.dags[run.dag as usize];
        let (mut unfinished, mut live, mut active) = (0, 0, 0);
        let mut ready: Vec<BTreeSet<Rank>> = vec![BTreeSet::new(); run.groups.len()];
        let mut active_of = vec![0u32; run.active_of.len()];
        let mut tallies = vec![UpstreamCounts::default(); run.tallies.len()];
        for (ti_at, ti) in run.tis.iter().enumerate().filter(|(_, ti)| !ti.absent) {
            let at = At { run: position, ti: index(ti_at) };
            let state = ti.row.state;
            let task_id = &ti.row.task_id;
            tally.instances += 1;
            tally.by_state[state as usize] += 1;
            unfinished += u32::from(!state.is_finished());
            live += u32::from(is_live(state));
            active += u32::from(state.is_executing());
            tally.executing += u32::from(state.is_executing());
            let node = run.graph.node(ti.task);
            let group = &run.groups[node.group as usize];
            let need = u64::from(group.need);
            let pool = tally.pools.entry(group.pool).or_default();
            let queue = tally.queues.entry(run.queues[node.queue as usize]).or_default();
            match state {
                TaskState::Scheduled => {
                    pool.2 += need;
                    ready[node.group as usize].insert(run.rank(at));
                }
                TaskState::Queued => {
                    pool.1 += need;
                    match ti.row.queued_at {
                        Some(queued_at) => {
                            let score = hint_score(queued_at, ti.row.priority_weight);
                            queue.0.insert((score, ti.row.key()));
                        }
                        None => note(format!("{task_id} is queued without queued_at")),
                    }
                }
                TaskState::Running | TaskState::Restarting => {
                    pool.0 += need;
                    queue.1 += 1;
                    tally.running += 1;
                    tally.restarting += u64::from(state == TaskState::Restarting);
                    let known = ti.row.token.and_then(|token| self.tokens.get(&token));
                    if known != Some(&at) {
                        note(format!("{task_id} is {state} but its token is not known"));
                    }
                }
                TaskState::Deferred => {
                    pool.3 += need;
                    if let Some(token) = ti.row.token {
                        tally.running += 1;
                        if self.tokens.get(&token) != Some(&at) {
                            note(format!("{task_id} is hosted but its token is not known"));
                        }
                    }
                    if ti.unhosted {
                        let queued_at = ti.row.queued_at.unwrap_or(self.now);
                        let name = crate::deferral::trigger_queue(&ti.row.queue);
                        let queue = self.queue_at.get(&name).copied().unwrap_or(u32::MAX);
                        let hint = (hint_score(queued_at, ti.row.priority_weight), ti.row.key());
                        tally.queues.entry(queue).or_default().0.insert(hint);
                    }
                    let hosted = matches!(
                        ti.row.deferral.as_deref(),
                        Some(tradewind_types::Deferral { trigger: tradewind_types::Trigger::Hosted { .. }, .. })
                    );
                    if hosted && !ti.unhosted && ti.row.token.is_none() {
                        note(format!("{task_id} waits for a trigger that nobody hosts and nobody is offered"));
                    }
                }
                _ => {}
            }
            if self.tis.get(&ti.row.id) != Some(&at) {
                note(format!("{task_id} is not in the index"));
            }
            if !active_of.is_empty() && counts_for_task(state) {
                active_of[ti.task as usize] += 1;
            }
            for (limiter, _) in &group.limits {
                let on = &self.limiters[*limiter as usize].on;
                *tally.limiters.entry(*limiter).or_default() += u32::from(counts_for(on, state));
            }
            if let Some(counts) = tallies.get_mut(ti.task as usize) {
                counts.total += 1;
                if let Some(slot) = counts.slot(state) {
                    *slot += 1;
                }
            }
            if state.is_executing() && run.row.state != RunState::Running {
                // A cleared run is queued while an attempt that it told to stop still holds its slot.
                if state != TaskState::Restarting {
                    note(format!("{task_id} is {state}, the run is {}", run.row.state));
                }
            }
            if is_live(state) && ti.row.attempt == 0 && state != TaskState::Scheduled {
                note(format!("{task_id} is {state} but was never dispatched"));
            }
            let mut counts = UpstreamCounts { total: node.upstreams, ..UpstreamCounts::default() };
            for &above in run.graph.up.of(ti.task) {
                if let Some(slot) = counts.slot(run.ti(above).row.state) {
                    *slot += 1;
                }
            }
            if !node.dynamic && counts != ti.up {
                note(format!("{task_id} counts its upstream as {:?}, it is {counts:?}", ti.up));
            }
            if run.row.state == RunState::Running {
                if let (TaskState::NoStatus, Verdict::Become(to)) = (state, verdict(run, at))
                    && !run.graph.spec(ti.task).wait_for_past_depends_before_skipping
                {
                    note(format!("{task_id} should have become {to}"));
                }
                let teardown_waits = run.scope_is_open(ti);
                let unexpanded = node.expansion != crate::expansion::UNEXPANDED && ti.row.map_index < 0;
                if state == TaskState::NoStatus
                    && verdict(run, at) == Verdict::Ready
                    && !dag.row.is_paused
                    && !teardown_waits
                    && !(unexpanded && run.mapped_upstream(ti.task) != Verdict::Ready)
                    && !(node.depends_on_past && self.blocked_by_past(at).is_some())
                {
                    note(format!("{task_id} is ready and was not scheduled"));
                }
            }
        }
        if (unfinished, live, active) != (run.unfinished, run.live, run.active) {
            note(format!(
                "kept {:?}, counted {:?} (unfinished, live, active)",
                (run.unfinished, run.live, run.active),
                (unfinished, live, active)
            ));
        }
        if tallies != run.tallies {
            note("the tallies of mapped tasks are wrong".to_owned());
        }
        if active_of != run.active_of {
            note("the counts per task are wrong".to_owned());
        }
        if run.row.state == RunState::Running && unfinished == 0 {
            note("all instances are over but the run goes on".to_owned());
        }
        for (at, group) in run.groups.iter().enumerate() {
            if group.ready != ready[at] {
                note(format!("group {at} is not the set of its scheduled instances"));
            }
            if let Some(rank) = group.shown {
                let pool = &self.pools[group.pool as usize];
                if !pool.ready.get(&group.need).is_some_and(|set| set.contains(&rank)) {
                    note(format!("group {at} is shown but its pool does not see it"));
                }
                tally.shown += 1;
            }
            let held = dag.row.is_paused
                || run.row.state != RunState::Running
                || run.active >= run.graph.version.spec.max_active_tasks
                || group.task.is_some_and(|task| {
                    run.graph
                        .spec(task)
                        .max_active_tis_per_dagrun
                        .is_some_and(|limit| run.active_of[task as usize] >= limit)
                });
            if held && group.shown.is_some() {
                note(format!("group {at} is shown although the run is held"));
            }
            if !held && !group.ready.is_empty() && group.shown.is_none() && group.parked.is_none() {
                note(format!("group {at} is ready but neither shown nor parked"));
            }
        }
    }

    fn check_pools(&self, tally: &Tally, wrong: &mut Vec<String>) {
        let mut shown = 0;
        for (position, pool) in self.pools.iter().enumerate() {
            let counted = tally.pools.get(&index(position)).copied().unwrap_or_default();
            let kept = (pool.running, pool.queued, pool.scheduled, pool.deferred);
            if kept != counted {
                wrong.push(format!(
                    "pool {}: kept {kept:?}, counted {counted:?} (running, queued, scheduled, deferred)",
                    pool.name
                ));
            }
            shown += pool.ready.values().map(BTreeSet::len).sum::<usize>();
            let room = u32::try_from(pool.open().max(0)).unwrap_or(u32::MAX);
            let best = pool.ready.range(..=room).filter_map(|(_, set)| set.first().copied()).min();
            if best != pool.head {
                wrong.push(format!("pool {}: its head is out of date", pool.name));
            }
            if let Some(rank) = pool.head
                && !self.heads.contains(&(rank, index(position)))
            {
                wrong.push(format!("pool {}: its head is not listed", pool.name));
            }
        }
        if shown != tally.shown {
            wrong.push(format!("pools see {shown} groups, runs show {}", tally.shown));
        }
        let heads = self.pools.iter().filter(|pool| pool.head.is_some()).count();
        if heads != self.heads.len() {
            wrong.push("the list of heads has entries of no pool".to_owned());
        }
    }

    fn check_limiters(&self, tally: &Tally, wrong: &mut Vec<String>) {
        for (position, limiter) in self.limiters.iter().enumerate() {
            let counted = tally.limiters.get(&index(position)).copied().unwrap_or(0);
            if counted != limiter.active {
                wrong.push(format!("{:?}: kept {}, counted {counted}", limiter.on, limiter.active));
            }
        }
    }

    fn check_backfills(&self, wrong: &mut Vec<String>) {
        for (no, state) in &self.backfills {
            let of = |run: &Run| run.row.backfill.filter(|of| of.no == *no);
            let running =
                self.runs.iter().filter(|(_, run)| of(run).is_some() && run.row.state == RunState::Running).count();
            let queued: BTreeSet<_> = self
                .runs
                .iter()
                .filter(|(_, run)| run.row.state == RunState::Queued && state.row.completed_at.is_none())
                .filter_map(|(at, run)| Some((of(run)?.ordinal, run.row.run_no.0, at)))
                .collect();
            if running != state.running as usize || queued != state.queued {
                wrong.push(format!("backfill {no}: its runs are counted wrong"));
            }
        }
    }

    fn check_callbacks(&self, tally: &mut Tally, wrong: &mut Vec<String>) {
        for (id, entry) in &self.callbacks {
            let queue = self.queue_at.get(&entry.row.queue).copied().unwrap_or(u32::MAX);
            let hint = (hint_score(entry.row.created_at, 0), entry.row.key());
            match (entry.row.state, entry.row.token) {
                (CallbackState::Queued, _) => {
                    tally.queues.entry(queue).or_default().0.insert(hint);
                }
                (CallbackState::Running, Some(token)) if self.callback_tokens.get(&token) == Some(id) => {}
                (state, _) => wrong.push(format!("callback {id} is {state} but not as it should be")),
            }
        }
        if self.callback_tokens.len()
            != self.callbacks.values().filter(|entry| entry.row.state == CallbackState::Running).count()
        {
            wrong.push("tokens of callbacks that do not run".to_owned());
        }
    }

    fn check_queues(&self, tally: &Tally, wrong: &mut Vec<String>) {
        for (position, queue) in self.queues.iter().enumerate() {
            let counted = tally.queues.get(&index(position));
            let hints = counted.map(|(hints, _)| hints.clone()).unwrap_or_default();
            let running = counted.map_or(0, |(_, running)| *running);
            if hints != queue.hints || running != queue.running {
                wrong.push(format!("queue {}: it is not the set of its queued instances", queue.name));
            }
            let arrivals: BTreeSet<_> = queue.arrivals.iter().map(|(_, key, score)| (*score, *key)).collect();
            if !hints.is_subset(&arrivals) {
                wrong.push(format!("queue {}: an arrival is missing", queue.name));
            }
            if queue.arrivals.front().is_some_and(|(_, key, score)| !hints.contains(&(*score, *key))) {
                wrong.push(format!("queue {}: its oldest entry has left", queue.name));
            }
        }
    }

    fn check_dags(&self, wrong: &mut Vec<String>) {
        for (position, dag) in self.dags.iter().enumerate() {
            let name = &dag.row.dag_id;
            let (mut queued, mut running, mut active) = (BTreeSet::new(), 0, 0);
            for (at, run) in self.runs.iter().filter(|(_, run)| run.dag == index(position)) {
                let counts = run.row.run_type != RunType::Backfill;
                match run.row.state {
                    RunState::Queued => {
                        if !self.is_of_open_backfill(at) {
                            queued.insert((run.starts_at(), run.row.run_no.0, at));
                        }
                        active += u32::from(counts);
                    }
                    RunState::Running => {
                        running += u32::from(counts);
                        active += u32::from(counts);
                    }
                    RunState::Success | RunState::Failed => {}
                }
            }
            for (at, run) in self.runs.iter().filter(|(_, run)| run.dag == index(position)) {
                if dag.run_ids.get(&run.row.run_id) != Some(&at) {
                    wrong.push(format!("{name}: run {} is not in the index", run.row.run_id));
                }
                if let Some(date) = run.row.logical_date
                    && dag.dates.get(&date) != Some(&Some(at))
                {
                    wrong.push(format!("{name}: the date of {} is not taken", run.row.run_id));
                }
            }
            if queued != dag.queued || (running, active) != (dag.running, dag.active) {
                wrong.push(format!("{name}: its runs are counted wrong"));
            }
            let due = dag.queued.first().is_some_and(|&(starts_at, ..)| {
                starts_at <= self.now && dag.running < dag.max_active_runs() && !dag.row.is_paused
            });
            if due && self.timers.peek().is_none_or(|timer| timer.0.0 > self.now) {
                wrong.push(format!("{name}: a run could start and did not"));
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    instances: u64,
    executing: u32,
    running: u64,
    restarting: u64,
    shown: usize,
    by_state: [u64; 14],
    /// Slots running, queued, scheduled, deferred.
    pools: BTreeMap<u32, (u64, u64, u64, u64)>,
    queues: BTreeMap<u32, QueueTally>,
    limiters: HashMap<u32, u32>,
}

type QueueTally = (BTreeSet<(i64, tradewind_types::AttemptKey)>, u64);
