//! The world of a simulation: time, leaders, workers, queue, store, what people wish for, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::SignedDuration;
use tradewind_types::{
    AttemptKey, LeaseToken, Pool, PoolName, QueueName, RateLimit, TaskId, TiId, Timestamp, WorkerName,
};

use crate::{
    Options, Stats,
    checks::Books,
    dags::{POOLS, QUEUES},
    leader::{Answer, Leader, Letter},
    queue::Queue,
    rng::Rng,
    store::Store,
    timetables::TimetableAnswer,
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
    pub(crate) timetable_answers: Vec<TimetableAnswer>,
    pub(crate) order: u64,
    pub(crate) healing: bool,
    /// The token that each attempt was granted to.
    pub(crate) granted: BTreeMap<AttemptKey, LeaseToken>,
    /// Instances that a person or a time-out stopped while they ran: their worker may not know it yet.
    pub(crate) excused: BTreeSet<TiId>,
    /// What the checks remember.
    pub(crate) books: Books,
    pub(crate) stats: Stats,
    pub(crate) trace: VecDeque<String>,
    pub(crate) dag_count: usize,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        // 2026-01-10T15:20:00Z.
        let now = Timestamp::from_second(1_768_058_400).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut store = Store::default();
        for (name, slots) in POOLS.iter().zip([4, 2, -1]) {
            let name = PoolName::from(*name);
            let narrow = slots == 2;
            let include_deferred = narrow && rng.chance(400);
            let rate = (slots < 0 && rng.chance(400))
                .then(|| RateLimit { starts: 1 + small(&mut rng, 3), per_secs: 5 + small(&mut rng, 15) });
            let pool = Pool { name: name.clone(), slots, description: String::new(), include_deferred, rate };
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
                    trigger_slots: 1 + rng.index(4),
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
            timetable_answers: Vec::new(),
            order: 0,
            healing: false,
            granted: BTreeMap::new(),
            excused: BTreeSet::new(),
            books: Books::default(),
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
        self.evaluate_timetables();
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

fn small(rng: &mut Rng, below: u64) -> u32 {
    u32::try_from(rng.below(below)).unwrap_or(0)
}
