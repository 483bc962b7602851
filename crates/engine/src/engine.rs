//! The engine's memory as a whole, and the frame of a step: apply one event, let everything that follows from it happen,
//! write down the rows that changed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::Weak,
};

use tradewind_types::{
    ApiError, DagId, HumanInput, LeaseToken, PoolName, QueueName, RunNo, TiId, Timestamp, VersionHash, truncate_micros,
};

use crate::{
    Effects, EngineOptions, Event, Reply,
    assets::Assets,
    backfill::BackfillState,
    callbacks::CallbackState,
    fast::FastMap,
    graph::Graph,
    memory::{At, Dag, Due, LimitOn, Limiter, PoolState, QueueState, Rank, Slab},
};

/// Everything that the leader knows of DAG runs and task instances, as a state machine.
///
/// [`Engine::step`] applies one event and adds what must be stored and dispatched to an [`Effects`]. The caller commits
/// the rows before it acts on the reply or the dispatches. If a commit fails for good the engine is ahead of the store:
/// drop it and make a new one from the rows.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: EngineOptions,
    /// The latest instant seen: time never goes back here.
    pub(crate) now: Timestamp,
    pub(crate) dags: Vec<Dag>,
    pub(crate) dag_at: HashMap<DagId, u32>,
    pub(crate) graphs: HashMap<(DagId, VersionHash), Weak<Graph>>,
    pub(crate) runs: Slab,
    pub(crate) run_at: FastMap<RunNo, u32>,
    pub(crate) next_run_no: u64,
    pub(crate) tis: FastMap<TiId, At>,
    /// The running (or restarting) attempt of each token.
    pub(crate) tokens: FastMap<LeaseToken, At>,
    /// Tokens that were granted whatever was next, for a while: a late repeat of such a claim must not be granted more.
    pub(crate) spent: FastMap<LeaseToken, ()>,
    pub(crate) spent_since: VecDeque<(Timestamp, LeaseToken)>,
    pub(crate) pools: Vec<PoolState>,
    pub(crate) pool_at: HashMap<PoolName, u32>,
    /// The best instance that each pool has room for.
    pub(crate) heads: BTreeSet<(Rank, u32)>,
    pub(crate) queues: Vec<QueueState>,
    pub(crate) queue_at: HashMap<QueueName, u32>,
    /// Task instances that hold a slot.
    pub(crate) executing: u32,
    pub(crate) limiters: Vec<Limiter>,
    pub(crate) limiter_at: HashMap<LimitOn, u32>,
    pub(crate) callbacks: FastMap<TiId, CallbackState>,
    /// The running callback of each token.
    pub(crate) callback_tokens: FastMap<LeaseToken, TiId>,
    pub(crate) assets: Assets,
    pub(crate) backfills: BTreeMap<u64, BackfillState>,
    pub(crate) next_backfill_no: u64,
    /// Questions to people that are open.
    pub(crate) questions: FastMap<TiId, HumanInput>,
    /// Instances in memory by state.
    pub(crate) by_state: [u64; 14],
    pub(crate) timers: BinaryHeap<Reverse<(Timestamp, Due)>>,
    pub(crate) restarting: Vec<At>,
    /// Finished runs that stay a while, oldest first: for repeated reports and for who asks.
    pub(crate) finished: VecDeque<(Timestamp, RunNo)>,
    pub(crate) work: Work,
}

/// What a step still has to look at.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Instances that came to an end: what waits for them is looked at.
    pub(crate) ended: Vec<At>,
    /// Runs that may be over.
    pub(crate) runs: Vec<u32>,
    /// DAGs that may start or create runs.
    pub(crate) dags: Vec<u32>,
    /// Rows to write.
    pub(crate) dirty_tis: Vec<At>,
    pub(crate) dirty_runs: Vec<u32>,
    pub(crate) dirty_dags: Vec<u32>,
}

impl Engine {
    pub(crate) fn empty(options: EngineOptions, next_run_no: u64, now: Timestamp) -> Self {
        Self {
            options,
            now: truncate_micros(now),
            dags: Vec::new(),
            dag_at: HashMap::new(),
            graphs: HashMap::new(),
            runs: Slab::default(),
            run_at: FastMap::default(),
            next_run_no: next_run_no.max(1),
            tis: FastMap::default(),
            tokens: FastMap::default(),
            spent: FastMap::default(),
            spent_since: VecDeque::new(),
            pools: Vec::new(),
            pool_at: HashMap::new(),
            heads: BTreeSet::new(),
            queues: Vec::new(),
            queue_at: HashMap::new(),
            executing: 0,
            limiters: Vec::new(),
            limiter_at: HashMap::new(),
            callbacks: FastMap::default(),
            callback_tokens: FastMap::default(),
            assets: Assets::default(),
            backfills: BTreeMap::new(),
            next_backfill_no: 1,
            questions: FastMap::default(),
            by_state: [0; 14],
            timers: BinaryHeap::new(),
            restarting: Vec::new(),
            finished: VecDeque::new(),
            work: Work::default(),
        }
    }

    /// Applies an event. `now` to the microsecond; an instant before the latest one counts as the latest.
    ///
    /// [`Reply::Refused`] means that nothing changed.
    pub fn step(&mut self, event: Event, now: Timestamp, effects: &mut Effects) -> Reply {
        self.now = self.now.max(truncate_micros(now));
        let reply = self.apply(event, effects).unwrap_or_else(Reply::Refused);
        self.settle(effects);
        self.forget_finished();
        self.drop_idle_timers();
        reply
    }

    fn apply(&mut self, event: Event, effects: &mut Effects) -> Result<Reply, ApiError> {
        match event {
            Event::Tick => {
                self.tick(effects);
                Ok(Reply::Done)
            }
            Event::DagPublished { version, paused_by_default } => self.publish(version, paused_by_default, effects),
            Event::DagGone { dag_id } => self.dag_gone(&dag_id),
            Event::SetPaused { dag_id, paused, by } => self.set_paused(&dag_id, paused, by, effects),
            Event::SetPool(pool) => self.set_pool(pool, effects),
            Event::DeletePool(name) => self.delete_pool(&name, effects),
            Event::Trigger(trigger) => self.trigger(trigger, effects),
            Event::Claim(request) => Ok(Reply::Claims(self.claim(&request, effects))),
            Event::Heartbeat { worker, holds } => {
                Ok(Reply::Heartbeat { cancel: self.heartbeat(&worker, &holds, effects) })
            }
            Event::Report(report) => self.report(report, effects),
            Event::PushXComs { key, token, xcoms } => {
                let at = self.current_attempt(key, token)?;
                self.push_xcoms(at, xcoms, effects);
                Ok(Reply::Done)
            }
            Event::CheckAttempt { key, token } => self.check_attempt(key, token),
            Event::WorkerGone { worker } => {
                self.worker_gone(&worker, effects);
                Ok(Reply::Done)
            }
            Event::Clear(request) => self.clear(&request, effects),
            Event::MarkTask { dag_id, run_id, task_id, map_index, state, by } => {
                self.mark_task(&dag_id, &run_id, &task_id, map_index, state, by, effects)
            }
            Event::MarkRun { dag_id, run_id, state, by } => self.mark_run(&dag_id, &run_id, state, by, effects),
            Event::AskHuman { key, token, input } => self.ask_human(key, token, *input, effects),
            Event::AnswerHuman { input, event } => self.answer_human(*input, event, effects),
            Event::UpdateAsset { asset, extra, by } => self.update_asset(asset, extra, by, effects),
            Event::CreateBackfill(request) => self.create_backfill(request, effects),
            Event::SetBackfill { no, action, by } => self.set_backfill(no, action, by, effects),
            Event::TimetableAnswer { dag_id, question, answer } => {
                self.timetable_answer(&dag_id, question, answer, effects)
            }
            Event::LoadRun { run, task_instances, version } => self.load_run(run, task_instances, version),
        }
    }

    /// Lets everything happen that follows from what was done, then writes the changed rows.
    pub(crate) fn settle(&mut self, effects: &mut Effects) {
        loop {
            if let Some(at) = self.work.ended.pop() {
                self.wake_after(at, effects);
            } else if let Some(run) = self.work.runs.pop() {
                self.check_run(run, effects);
            } else if let Some(dag) = self.work.dags.pop() {
                self.check_dag(dag, effects);
            } else if !self.admit_next(effects) {
                break;
            }
        }
        self.write_rows(effects);
    }

    fn write_rows(&mut self, effects: &mut Effects) {
        let rows = &mut effects.rows;
        for dag in self.work.dirty_dags.drain(..) {
            let dag = &mut self.dags[dag as usize];
            dag.dirty = false;
            rows.dags.insert(dag.row.dag_id.clone(), dag.row.clone());
        }
        for position in self.work.dirty_runs.drain(..) {
            let run = &mut self.runs[position];
            run.dirty = false;
            rows.run(&run.row, !std::mem::replace(&mut run.stored, true));
        }
        // A wide DAG writes very many rows at once: they are large, and growing step by step would move them again.
        rows.task_instances.reserve(self.work.dirty_tis.len());
        for at in self.work.dirty_tis.drain(..) {
            let ti = self.runs[at.run].ti_mut(at.ti);
            ti.dirty = false;
            rows.task_instance(&ti.row, !std::mem::replace(&mut ti.stored, true));
        }
    }

    pub(crate) fn touch_ti(&mut self, at: At) {
        let ti = self.runs[at.run].ti_mut(at.ti);
        if !std::mem::replace(&mut ti.dirty, true) {
            self.work.dirty_tis.push(at);
        }
    }

    pub(crate) fn touch_run(&mut self, run: u32) {
        if !std::mem::replace(&mut self.runs[run].dirty, true) {
            self.work.dirty_runs.push(run);
        }
    }

    pub(crate) fn touch_dag(&mut self, dag: u32) {
        if !std::mem::replace(&mut self.dags[dag as usize].dirty, true) {
            self.work.dirty_dags.push(dag);
        }
    }

    /// Looks at a run again before the step ends.
    pub(crate) fn look_at_run(&mut self, run: u32) {
        if !std::mem::replace(&mut self.runs[run].check, true) {
            self.work.runs.push(run);
        }
    }

    /// Looks at a DAG again before the step ends.
    pub(crate) fn look_at_dag(&mut self, dag: u32) {
        if !std::mem::replace(&mut self.dags[dag as usize].check, true) {
            self.work.dags.push(dag);
        }
    }

    pub(crate) fn pool(&mut self, name: &PoolName) -> u32 {
        if let Some(&pool) = self.pool_at.get(name) {
            return pool;
        }
        let pool = crate::graph::index(self.pools.len());
        self.pools.push(PoolState::new(name.clone()));
        self.pool_at.insert(name.clone(), pool);
        pool
    }

    pub(crate) fn queue(&mut self, name: &QueueName) -> u32 {
        if let Some(&queue) = self.queue_at.get(name) {
            return queue;
        }
        let queue = crate::graph::index(self.queues.len());
        self.queues.push(QueueState::new(name.clone()));
        self.queue_at.insert(name.clone(), queue);
        queue
    }

    pub(crate) fn set_timer(&mut self, at: Timestamp, due: Due) {
        self.timers.push(Reverse((at, due)));
    }
}

/// Just after an instant: for limits that Airflow compares strictly.
pub(crate) fn just_after(at: Timestamp) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(Timestamp::MAX)
}

/// `at + span`, at most the end of time.
pub(crate) fn plus(at: Timestamp, span: std::time::Duration) -> Timestamp {
    jiff::SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .map_or(Timestamp::MAX, truncate_micros)
}
