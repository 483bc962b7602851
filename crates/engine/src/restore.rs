//! A new leader's memory, built from rows alone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tradewind_types::{DagId, RunNo, RunState, RunType, TaskInstance, TaskState, Timestamp, VersionHash, hint_score};

use crate::{
    Dispatch, Effects, Engine, EngineOptions, Snapshot,
    backfill::BackfillState,
    change::{counts_for, counts_for_task, is_live},
    graph::index,
    memory::{At, Dag, Due, LastRun},
};

impl Engine {
    /// Builds an engine from the store's rows. Running attempts get one fresh lease: their workers could not renew while
    /// nobody led. The effects push a hint for every queued instance and do whatever is due.
    pub fn new(options: EngineOptions, snapshot: Snapshot, now: Timestamp) -> (Self, Effects) {
        let mut engine = Self::empty(options, snapshot.next_run_no, now);
        let mut effects = Effects::default();
        for pool in snapshot.pools {
            let at = engine.pool(&pool.name);
            engine.pools[at as usize].config = Some(pool);
        }
        for asset in snapshot.assets {
            engine.assets.known.insert(asset.key.clone(), asset);
        }
        for (alias, asset) in snapshot.asset_aliases {
            engine.assets.attach(&alias, &asset);
        }
        engine.assets.next_event_no = snapshot.next_event_no.max(1);
        let mut versions: HashMap<(DagId, VersionHash), _> = HashMap::new();
        let mut highest: HashMap<DagId, u32> = HashMap::new();
        let current = snapshot.dags.iter().map(|(_, version)| version);
        for version in current.chain(&snapshot.versions) {
            let dag_id = version.spec.dag_id.clone();
            let number = highest.entry(dag_id.clone()).or_default();
            *number = version.number.max(*number);
            versions.insert((dag_id, version.hash.clone()), Arc::clone(version));
        }
        for (row, version) in snapshot.dags {
            let highest = highest.get(&row.dag_id).copied().unwrap_or(0).max(row.version_number);
            let graph = engine.graph(version);
            let position = index(engine.dags.len());
            engine.dag_at.insert(row.dag_id.clone(), position);
            engine.dags.push(Dag::new(row, graph, highest));
            engine.register_assets(position, &mut effects);
        }
        engine.next_backfill_no = snapshot.next_backfill_no.max(1);
        for row in snapshot.backfills {
            let state = BackfillState { queued: BTreeSet::new(), running: 0, row };
            engine.backfills.insert(state.row.no, state);
        }
        for question in snapshot.human_inputs {
            engine.questions.insert(question.ti, question);
        }
        let mut instances: HashMap<RunNo, Vec<TaskInstance>> = HashMap::new();
        for ti in snapshot.task_instances {
            instances.entry(ti.run_no).or_default().push(ti);
        }
        let mut runs = snapshot.runs;
        runs.sort_by_key(|run| run.run_no);
        let mut taken = Vec::new();
        for run in runs {
            let Some(&dag_at) = engine.dag_at.get(&run.dag_id) else {
                continue;
            };
            if run.run_type == RunType::Scheduled {
                engine.dags[dag_at as usize].note_last(&run);
            }
            let rows = instances.remove(&run.run_no).unwrap_or_default();
            if run.state.is_finished() && rows.is_empty() {
                taken.extend(run.logical_date.map(|date| (dag_at, date)));
                engine.next_run_no = engine.next_run_no.max(run.run_no.0 + 1);
                continue;
            }
            let key = (run.dag_id.clone(), run.version.clone());
            let graph = match versions.get(&key) {
                Some(version) => engine.graph(Arc::clone(version)),
                None => Arc::clone(&engine.dags[dag_at as usize].graph),
            };
            let state = run.state;
            let run_no = run.run_no;
            let position = engine.create_run(dag_at, run, graph, rows, true);
            engine.count_all(position);
            match state {
                RunState::Running => engine.set_run_timeout(position),
                RunState::Queued => {}
                RunState::Success | RunState::Failed => {
                    engine.finished.push_back((engine.now, run_no));
                }
            }
        }
        for (callback, run) in snapshot.callbacks {
            let key = (run.dag_id.clone(), run.version.clone());
            if let Some(version) = versions.get(&key) {
                engine.restore_callback(callback, run, Arc::clone(version));
            }
        }
        for (dag_at, date) in taken {
            let dag = &mut engine.dags[dag_at as usize];
            if dag.last.is_none_or(|last| date > last.start) {
                dag.dates.entry(date).or_insert(None);
            }
        }
        engine.catch_up(&mut effects);
        (engine, effects)
    }

    /// Pushes hints, then does what is due.
    fn catch_up(&mut self, effects: &mut Effects) {
        effects.dispatch.extend(self.all_queued_hints().into_iter().map(Dispatch::Push));
        for dag in 0..index(self.dags.len()) {
            self.look_at_dag(dag);
        }
        let running: Vec<u32> = self
            .runs
            .iter()
            .filter(|(_, run)| run.row.state == RunState::Running)
            .map(|(position, _)| position)
            .collect();
        for run in running {
            self.show_run(run);
            self.consider_run(run, effects);
            self.look_at_run(run);
        }
        for pool in 0..index(self.pools.len()) {
            if let Some(opens) = self.rate_opens(pool) {
                self.set_timer(opens, Due::Rate { pool });
            }
        }
        self.tick(effects);
        self.settle(effects);
        self.forget_finished();
        self.drop_idle_timers();
    }

    /// Counts a run's instances into everything that `set_state` keeps, from nothing.
    pub(crate) fn count_all(&mut self, position: u32) {
        for ti in 0..index(self.runs[position].tis.len()) {
            if !self.runs[position].ti(ti).absent {
                self.count_in(At { run: position, ti });
            }
        }
    }

    fn count_in(&mut self, at: At) {
        let run = &mut self.runs[at.run];
        let rank = run.rank(at);
        let run_over = run.row.state.is_finished();
        let ti = &run.tis[at.ti as usize];
        let (state, task, token) = (ti.row.state, ti.task, ti.row.token);
        let (key, queued_at) = (ti.row.key(), ti.row.queued_at);
        let score = hint_score(queued_at.unwrap_or(self.now), ti.row.priority_weight);
        let node = run.graph.node(task);
        let queue = run.queues[node.queue as usize];
        let group = &mut run.groups[node.group as usize];
        let need = u64::from(group.need);
        let limits = group.limits.clone();
        if state == TaskState::Scheduled {
            group.ready.insert(rank);
        }
        let pool = group.pool;
        if state.is_executing()
            && let Some(queued_at) = queued_at
        {
            self.pools[pool as usize].restore_start(queued_at, self.now);
        }
        run.live += u32::from(is_live(state));
        run.active += u32::from(state.is_executing());
        self.executing += u32::from(state.is_executing());
        let counts = &mut self.pools[pool as usize];
        match state {
            TaskState::Running | TaskState::Restarting => counts.running += need,
            TaskState::Queued => counts.queued += need,
            TaskState::Scheduled => counts.scheduled += need,
            TaskState::Deferred => counts.deferred += need,
            _ => {}
        }
        if !run.active_of.is_empty() && counts_for_task(state) {
            run.active_of[task as usize] += 1;
        }
        for (limiter, _) in limits {
            let limiter = &mut self.limiters[limiter as usize];
            limiter.active += u32::from(counts_for(&limiter.on, state));
        }
        let graph = Arc::clone(&run.graph);
        if let Some(slot) = run.tallies.get_mut(task as usize).and_then(|tally| tally.slot(state)) {
            *slot += 1;
        }
        for &below in graph.down.of(task) {
            if graph.node(below).dynamic {
                continue;
            }
            if let Some(slot) = run.tis[below as usize].up.slot(state) {
                *slot += 1;
            }
        }
        if state.is_finished() && !graph.mapped {
            for &teardown in graph.scope_watchers.of(task) {
                run.tis[teardown as usize].scope_done += 1;
            }
        }
        match state {
            TaskState::Queued => {
                self.queues[queue as usize].insert(score, key, queued_at.unwrap_or(self.now));
            }
            TaskState::Running | TaskState::Restarting => {
                self.queues[queue as usize].running += 1;
                if let Some(token) = token {
                    self.tokens.insert(token, at);
                }
                if state == TaskState::Restarting {
                    self.restarting.push(at);
                }
                self.start_lease(at);
            }
            TaskState::Deferred | TaskState::AwaitingInput if !run_over => {
                if let Some(token) = token {
                    self.tokens.insert(token, at);
                    self.start_lease(at);
                } else if self.runs[at.run].ti(at.ti).waits_for_host() {
                    self.list_trigger(at);
                }
                self.set_wait_timer(at);
            }
            TaskState::UpForRetry | TaskState::UpForReschedule if !run_over => {
                let run = &self.runs[at.run];
                if let Some(next_at) = run.ti(at.ti).row.next_at
                    && !crate::ready::is_due(&run.ti(at.ti).row, next_at, self.now)
                {
                    self.set_again_timer(at);
                }
            }
            _ => {}
        }
    }
}

impl Dag {
    /// Remembers the latest scheduled run: by logical date, else by `run_after`.
    fn note_last(&mut self, run: &tradewind_types::DagRun) {
        let start = run.data_interval_start.or(run.logical_date).unwrap_or(run.run_after);
        let end = run.data_interval_end.unwrap_or(start);
        if self.last.is_none_or(|last| start > last.start) {
            self.last = Some(LastRun { start, end });
        }
    }
}
