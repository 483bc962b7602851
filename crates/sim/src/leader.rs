//! A scheduler of the simulation: an engine under a term, with a mailbox. It steps through a batch of requests, commits
//! once, then dispatches and answers; it may die at any point between.

use std::collections::BTreeMap;

use tradewind_engine::{Dispatch, Effects, Engine, EngineOptions, Event, Reply, TimetableQuestion};
use tradewind_types::{AttemptKey, AttemptReport, DagId, HumanInput, LeaseToken, Timestamp, WorkerName};

use crate::{checks::Current, store::CommitError, world::World};

/// What a worker asks.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Claim(tradewind_engine::ClaimRequest),
    Heartbeat {
        worker: WorkerName,
        holds: Vec<(AttemptKey, LeaseToken)>,
    },
    Report(Box<AttemptReport>),
    /// A task asks a person something.
    Ask {
        key: AttemptKey,
        token: LeaseToken,
        input: Box<HumanInput>,
    },
    /// The worker came back under its name; whatever it ran is gone.
    Register {
        worker: WorkerName,
    },
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) at: Timestamp,
    pub(crate) order: u64,
    pub(crate) worker: usize,
    pub(crate) incarnation: u32,
    pub(crate) sent: Timestamp,
    pub(crate) request: Request,
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) at: Timestamp,
    pub(crate) letter: Letter,
    pub(crate) reply: Reply,
}

pub(crate) struct Leader {
    pub(crate) term: u64,
    pub(crate) engine: Engine,
    pub(crate) inbox: Vec<Letter>,
    /// It does nothing until then.
    pub(crate) frozen_until: Timestamp,
    pub(crate) swept_at: Timestamp,
    /// The latest incarnation of each worker that it has heard of.
    pub(crate) known: BTreeMap<usize, u32>,
    /// The latest question about each custom timetable: a DAG processor fetches them.
    pub(crate) questions: BTreeMap<DagId, TimetableQuestion>,
    /// Answers of DAG processors.
    pub(crate) answered: Vec<Event>,
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions { parallelism: 6, ..EngineOptions::default() }
}

impl World {
    /// A new leader takes over: a higher term, memory made of the rows.
    pub(crate) fn take_over(&mut self) -> Result<(), String> {
        self.store.term += 1;
        let term = self.store.term;
        let (engine, effects) = Engine::new(options(), self.store.load(), self.now);
        self.stats.takeovers += 1;
        self.note(|| format!("term {term} begins"));
        let leader = Leader {
            term,
            engine,
            inbox: Vec::new(),
            frozen_until: self.now,
            swept_at: self.now,
            known: BTreeMap::new(),
            questions: BTreeMap::new(),
            answered: Vec::new(),
        };
        self.leaders.insert(0, leader);
        self.commit(0, effects, Vec::new(), true).map(|_| ())
    }

    /// Lets leader `at` work off its mailbox. `false` when it is gone.
    pub(crate) fn lead(&mut self, at: usize) -> Result<bool, String> {
        if self.leaders[at].frozen_until > self.now {
            return Ok(true);
        }
        let mut letters = std::mem::take(&mut self.leaders[at].inbox);
        letters.sort_by_key(|letter| (letter.at, letter.order));
        let mut effects = Effects::default();
        let mut answers = Vec::new();
        for letter in letters {
            let known = self.leaders[at].known.insert(letter.worker, letter.incarnation);
            if let Some(known) = known
                && known > letter.incarnation
            {
                // A letter of a process that is gone.
                self.leaders[at].known.insert(letter.worker, known);
                continue;
            }
            let anew = known.is_some_and(|known| known < letter.incarnation);
            let event = match letter.request.clone() {
                Request::Claim(request) => Event::Claim(request),
                Request::Heartbeat { worker, holds } => Event::Heartbeat { worker, holds },
                Request::Report(report) => Event::Report(*report),
                Request::Ask { key, token, input } => Event::AskHuman { key, token, input },
                // Only a known change of incarnation says that what it ran is gone.
                Request::Register { worker } if anew => Event::WorkerGone { worker },
                Request::Register { .. } => Event::Tick,
            };
            let now = self.now;
            let engine = &mut self.leaders[at].engine;
            let before = Current::of(engine, &self.store.callbacks, &letter.request);
            let reply = engine.step(event, now, &mut effects);
            before.check(engine, &reply)?;
            answers.push((letter, reply));
        }
        let answered = std::mem::take(&mut self.leaders[at].answered);
        for event in answered.into_iter().chain(self.wishes(at)) {
            let text = format!("{event:?}");
            let now = self.now;
            let reply = self.leaders[at].engine.step(event, now, &mut effects);
            self.note(|| format!("user: {} -> {}", short(&text), short(&format!("{reply:?}"))));
        }
        let now = self.now;
        let engine = &mut self.leaders[at].engine;
        engine.step(Event::Tick, now, &mut effects);
        // What a tick does may be due for more at once: it asks to be woken again.
        while engine.next_wakeup().is_some_and(|due| due <= now) {
            engine.step(Event::Tick, now, &mut effects);
        }
        if self.faults() && self.rng.chance(self.options.faults / 3) {
            self.note(|| "leader dies before its commit".to_owned());
            self.leaders.remove(at);
            return Ok(false);
        }
        let dispatch = !(self.faults() && self.rng.chance(self.options.faults / 3));
        if !self.commit(at, effects, answers, dispatch)? {
            return Ok(false);
        }
        if !dispatch {
            self.note(|| "leader dies between commit and dispatch".to_owned());
            self.leaders.remove(at);
            return Ok(false);
        }
        self.sweep(at);
        Ok(true)
    }

    /// Commits, checks, dispatches, answers. `false` when the leader stepped down.
    fn commit(
        &mut self,
        at: usize,
        effects: Effects,
        answers: Vec<(Letter, Reply)>,
        dispatch: bool,
    ) -> Result<bool, String> {
        let term = self.leaders[at].term;
        let before = self.before_commit(&effects.rows);
        match self.store.commit(term, &effects.rows, self.options.term_guard) {
            Ok(()) => self.stats.commits += u32::from(!effects.rows.is_empty()),
            Err(CommitError::StaleTerm) => {
                self.stats.stale_commits += 1;
                self.note(|| format!("term {term} is over: its leader steps down"));
                self.leaders.remove(at);
                return Ok(false);
            }
            Err(CommitError::Conflict(text)) => return Err(text),
        }
        self.after_commit(at, &before, &effects.rows)?;
        for (letter, reply) in &answers {
            self.check_reply(letter, reply)?;
        }
        if !dispatch {
            return Ok(true);
        }
        for dispatch in effects.dispatch {
            match dispatch {
                Dispatch::Push(hint) => {
                    if self.faults() && self.rng.chance(self.options.faults) {
                        self.stats.hint_faults += 1;
                        if self.rng.chance(500) {
                            continue;
                        }
                        let late = self.later(8_000);
                        self.queue.push_late(late, hint.clone());
                        if self.rng.chance(500) {
                            continue;
                        }
                    }
                    self.queue.push(hint);
                }
                Dispatch::Forget { queue, key } => {
                    if !(self.faults() && self.rng.chance(self.options.faults)) {
                        self.queue.forget(&queue, key);
                    }
                }
                // Workers learn it with their next heartbeat.
                Dispatch::Cancel { .. } => {}
                Dispatch::RunFinished { .. } => self.stats.runs += 1,
                Dispatch::AskTimetable(question) => {
                    self.leaders[at].questions.insert(question.dag_id.clone(), *question);
                }
            }
        }
        for (letter, reply) in answers {
            if self.faults() && self.rng.chance(self.options.faults) {
                continue;
            }
            let at = self.later(300);
            self.answers.push(Answer { at, letter, reply });
        }
        Ok(true)
    }

    /// The repair sweep: hints that a queue lacks are pushed again.
    fn sweep(&mut self, at: usize) {
        let leader = &mut self.leaders[at];
        if leader.swept_at > self.now {
            return;
        }
        leader.swept_at = self.now + jiff::SignedDuration::from_secs(2);
        for hint in leader.engine.all_queued_hints() {
            if !self.queue.contains(&hint) {
                self.queue.push(hint);
            }
        }
    }
}

pub(crate) fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
