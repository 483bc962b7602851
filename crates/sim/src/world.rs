//! The world of a simulation: time, leaders, workers, queue, store, what people wish for, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::SignedDuration;
use tradewind_engine::{ClearRequest, Event, Trigger};
use tradewind_types::{
    AttemptKey, DagId, LeaseToken, Pool, PoolName, QueueName, RunId, RunState, RunType, TaskId, TaskState, TiId,
    Timestamp, UNMAPPED, WorkerName,
};

use crate::{
    Options, Stats,
    dags::{self, POOLS, QUEUES},
    leader::{Answer, Leader, Letter},
    queue::Queue,
    rng::Rng,
    store::Store,
    worker::Worker,
};

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) options: Options,
    pub(crate) now: Timestamp,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    /// The first leads; others do not know yet that they do not.
    pub(crate) leaders: Vec<Leader>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) order: u64,
    pub(crate) healing: bool,
    /// The token that each attempt was granted to.
    pub(crate) granted: BTreeMap<AttemptKey, LeaseToken>,
    /// Instances that a person or a time-out stopped while they ran: their worker may not know it yet.
    pub(crate) excused: BTreeSet<TiId>,
    pub(crate) stats: Stats,
    pub(crate) trace: VecDeque<String>,
    dag_count: usize,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        // 2026-01-10T15:20:00Z.
        let now = Timestamp::from_second(1_768_058_400).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut store = Store::default();
        for (name, slots) in POOLS.iter().zip([4, 2, -1]) {
            let name = PoolName::from(*name);
            let pool = Pool { name: name.clone(), slots, description: String::new(), include_deferred: false };
            store.pools.insert(name, pool);
        }
        let workers = (0..3usize)
            .map(|number| {
                let queues: &[&str] = match number {
                    0 => &QUEUES[..1],
                    1 => &QUEUES[1..],
                    _ => &QUEUES,
                };
                Worker {
                    name: WorkerName::from(format!("w{number}")),
                    incarnation: 0,
                    registered: false,
                    queues: queues.iter().map(|name| QueueName::from(*name)).collect(),
                    slots: 1 + rng.index(3),
                    dead_until: None,
                    frozen_until: now,
                    line_free: now,
                    beat_at: now,
                    offers: Vec::new(),
                    held: Vec::new(),
                    done: BTreeSet::new(),
                }
            })
            .collect();
        let dag_count = 1 + rng.index(3);
        Self {
            rng,
            options,
            now,
            store,
            queue: Queue::default(),
            leaders: Vec::new(),
            workers,
            letters: Vec::new(),
            answers: Vec::new(),
            order: 0,
            healing: false,
            granted: BTreeMap::new(),
            excused: BTreeSet::new(),
            stats: Stats::default(),
            trace: VecDeque::new(),
            dag_count,
        }
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.stats.steps < self.options.steps {
            self.step()?;
        }
        self.healing = true;
        self.note(|| "the faults stop".to_owned());
        self.leaders.truncate(1);
        for worker in &mut self.workers {
            worker.frozen_until = worker.frozen_until.min(self.now);
        }
        // Generous: retries, leases and reschedules all have their time.
        let mut left = 6_000;
        while !self.all_over() {
            self.step()?;
            left -= 1;
            if left == 0 {
                return Err(format!("I1: not over: {}", self.open_instances()));
            }
        }
        self.check_end()
    }

    fn step(&mut self) -> Result<(), String> {
        self.stats.steps += 1;
        let most = if self.faults() { 1_500 } else { 3_000 };
        self.now = self.later(most);
        self.break_something()?;
        if self.leaders.is_empty() {
            self.take_over()?;
        }
        self.queue.deliver_late(self.now);
        self.deliver()?;
        for worker in 0..self.workers.len() {
            self.work(worker);
        }
        let mut at = 0;
        while at < self.leaders.len() {
            if self.lead(at)? {
                at += 1;
            }
        }
        if let Some(leader) = self.leaders.first()
            && leader.frozen_until <= self.now
        {
            self.check_memory(0)?;
        }
        Ok(())
    }

    /// Brings letters and answers that are due to where they go.
    fn deliver(&mut self) -> Result<(), String> {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.letters).into_iter().partition(|letter| letter.at <= now);
        self.letters = later;
        for letter in due {
            // Some still talk to an old leader.
            let leaders = self.leaders.len();
            let to = if leaders > 1 && self.rng.chance(400) { 1 + self.rng.index(leaders - 1) } else { 0 };
            if let Some(leader) = self.leaders.get_mut(to) {
                leader.inbox.push(letter);
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.answers).into_iter().partition(|answer| {
            let worker = &self.workers[answer.letter.worker];
            answer.at <= now && (worker.awake(now) || worker.dead_until.is_some())
        });
        self.answers = later;
        for answer in due {
            self.receive(answer)?;
        }
        Ok(())
    }

    fn break_something(&mut self) -> Result<(), String> {
        if !self.faults() {
            return Ok(());
        }
        let faults = self.options.faults;
        for at in 0..self.workers.len() {
            if self.workers[at].dead_until.is_some() || !self.rng.chance(faults / 2) {
                continue;
            }
            if self.rng.chance(500) {
                self.note(|| format!("w{at} is killed"));
                self.kill_worker(at);
            } else {
                let until = self.later(30_000);
                self.stats.worker_faults += 1;
                self.workers[at].frozen_until = until;
                self.note(|| format!("w{at} freezes until {until}"));
            }
        }
        if self.rng.chance(faults / 4) {
            self.note(|| "the queue is wiped".to_owned());
            self.queue.wipe();
        }
        if self.leaders.is_empty() {
            return Ok(());
        }
        if self.rng.chance(faults / 2) {
            // The leader seems dead to the others, and goes on.
            self.note(|| "another scheduler takes over".to_owned());
            if self.rng.chance(300) {
                self.leaders[0].frozen_until = self.later(10_000);
            }
            // Taking over happens at once; the old one is now second.
            self.take_over()?;
            self.leaders.truncate(3);
        } else if self.rng.chance(faults / 3) {
            self.note(|| "the leader is killed".to_owned());
            self.leaders.remove(0);
        }
        Ok(())
    }

    /// What people ask of leader `at` now.
    pub(crate) fn wishes(&mut self, at: usize) -> Vec<Event> {
        let mut events = Vec::new();
        if at != 0 && self.rng.chance(800) {
            return events;
        }
        if self.faults() && self.leaders[at].engine.dags().count() < self.dag_count {
            for number in 0..self.dag_count {
                events.push(self.publish(number));
            }
        }
        if !self.faults() {
            // What is paused must go on, or it never ends.
            let paused: Vec<DagId> =
                self.leaders[at].engine.dags().filter(|row| row.is_paused).map(|row| row.dag_id.clone()).collect();
            events.extend(paused.into_iter().map(|dag_id| Event::SetPaused {
                dag_id,
                paused: false,
                by: "sim".to_owned(),
            }));
            // Until they are stored: the leader that is asked may be an old one.
            if self.store.pools[POOLS[1]].slots != 4 {
                events.extend(self.resize(4));
            }
            // No more scheduled runs, so that the world can come to an end.
            let dags = self.store.dags.values().filter(|row| !row.is_stale);
            events.extend(dags.map(|row| Event::DagGone { dag_id: row.dag_id.clone() }));
            return events;
        }
        let dag_id = DagId::from(format!("dag{}", self.rng.index(self.dag_count)));
        match self.rng.below(100) {
            0..=9 => {
                let suffix = format!("{:x}", self.rng.next());
                let date = self.rng.chance(500).then(|| self.later(5_000));
                events.push(Event::Trigger(Trigger {
                    dag_id,
                    run_id: None,
                    run_type: RunType::Manual,
                    logical_date: date,
                    run_after: None,
                    conf: serde_json::Value::Null,
                    by: "sim".to_owned(),
                    suffix,
                }));
            }
            10 => {
                let number = self.rng.index(self.dag_count);
                events.push(self.publish(number));
            }
            11 => events.push(Event::SetPaused { dag_id, paused: self.rng.chance(500), by: "sim".to_owned() }),
            12 => {
                let slots = i64::try_from(self.rng.below(5)).unwrap_or(0);
                events.extend(self.resize(slots));
            }
            13..=16 => {
                if let Some((dag_id, run_id, task_id)) = self.some_instance(at) {
                    events.push(self.clear(dag_id, run_id, task_id));
                }
            }
            17 => {
                if let Some((dag_id, run_id, task_id)) = self.some_instance(at) {
                    events.push(Event::MarkTask {
                        dag_id,
                        run_id,
                        task_id,
                        map_index: UNMAPPED,
                        state: self.rng.pick(&[TaskState::Success, TaskState::Failed, TaskState::Skipped]),
                        by: "sim".to_owned(),
                    });
                }
            }
            18 => {
                if let Some((dag_id, run_id, _)) = self.some_instance(at) {
                    events.push(Event::MarkRun {
                        dag_id,
                        run_id,
                        state: self.rng.pick(&[RunState::Success, RunState::Failed]),
                        by: "sim".to_owned(),
                    });
                }
            }
            _ => {}
        }
        events
    }

    fn publish(&mut self, number: usize) -> Event {
        Event::DagPublished { version: dags::random(&mut self.rng, number, self.now), paused_by_default: false }
    }

    fn resize(&self, slots: i64) -> Option<Event> {
        Some(Event::SetPool(Pool {
            name: PoolName::from(POOLS[1]),
            slots,
            description: String::new(),
            include_deferred: false,
        }))
    }

    fn clear(&mut self, dag_id: DagId, run_id: RunId, task_id: TaskId) -> Event {
        Event::Clear(ClearRequest {
            dag_id,
            run_id,
            task_ids: vec![task_id],
            downstream: self.rng.chance(600),
            upstream: self.rng.chance(200),
            only_failed: self.rng.chance(200),
            dry_run: self.rng.chance(100),
            by: "sim".to_owned(),
        })
    }

    fn some_instance(&mut self, at: usize) -> Option<(DagId, RunId, TaskId)> {
        let mut ids: Vec<TiId> =
            self.leaders[at].engine.runs().flat_map(|run| run.task_instances()).map(|ti| ti.id).collect();
        ids.sort();
        if ids.is_empty() {
            return None;
        }
        let id = ids[self.rng.index(ids.len())];
        let ti = self.leaders[at].engine.task_instance(id)?;
        Some((ti.dag_id.clone(), ti.run_id.clone(), ti.task_id.clone()))
    }

    pub(crate) fn downstream_of(&self, ti: TiId) -> Vec<TaskId> {
        let Some(row) = self.store.tis.get(&ti) else {
            return Vec::new();
        };
        let Some(run) = self.store.runs.get(&row.run_no) else {
            return Vec::new();
        };
        let key = (run.dag_id.clone(), run.version.clone());
        self.store.versions[&key]
            .spec
            .tasks
            .iter()
            .filter(|task| task.upstream.contains(&row.task_id))
            .map(|task| task.task_id.clone())
            .collect()
    }

    pub(crate) const fn faults(&self) -> bool {
        !self.healing
    }

    pub(crate) fn rng_long(&mut self) -> bool {
        self.faults() && self.rng.chance(150)
    }

    /// Some time from now, at most `most` milliseconds.
    pub(crate) fn later(&mut self, most: u64) -> Timestamp {
        let micros = 1 + self.rng.below(most * 1_000);
        self.now + SignedDuration::from_micros(i64::try_from(micros).unwrap_or(1))
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if self.trace.len() >= 60 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>4} {} {}", self.stats.steps, self.now, text()));
    }
}
