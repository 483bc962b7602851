//! A worker of the simulation: slots, a trigger host, claims that are repeated, leases judged by its own clock, reports that are repeated;
//! it dies, freezes, and wakes up without knowing that time has passed.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tradewind_engine::{ClaimAnswer, ClaimOffer, ClaimRequest, Reply};
use tradewind_types::{
    AttemptKey, AttemptOutcome, AttemptReport, LeaseToken, QueueName, TaskState, Timestamp, Trigger, WorkerName,
};
use uuid::Uuid;

use crate::{
    leader::{Answer, Letter, Request, options},
    world::World,
};

/// What a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Trigger,
    Callback,
}

pub(crate) struct Worker {
    pub(crate) name: WorkerName,
    pub(crate) incarnation: u32,
    /// The leader knows this incarnation; before that it claims nothing.
    pub(crate) registered: bool,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) slots: usize,
    /// Triggers that its host runs at once.
    pub(crate) trigger_slots: usize,
    /// Dead until then.
    pub(crate) dead_until: Option<Timestamp>,
    pub(crate) frozen_until: Timestamp,
    /// Its last heartbeat arrives then: they never overtake each other.
    pub(crate) line_free: Timestamp,
    pub(crate) beat_at: Timestamp,
    pub(crate) offers: Vec<Offer>,
    pub(crate) held: Vec<Held>,
    /// Tokens of what it held before.
    pub(crate) done: BTreeSet<LeaseToken>,
}

pub(crate) struct Offer {
    offer: ClaimOffer,
    /// Of the trigger host.
    hosts: bool,
    first_sent: Timestamp,
    again_at: Timestamp,
}

pub(crate) struct Held {
    pub(crate) kind: Kind,
    pub(crate) key: AttemptKey,
    pub(crate) token: LeaseToken,
    /// When the task process ends by itself.
    pub(crate) ends_at: Timestamp,
    /// The worker kills the task then, if it is awake.
    pub(crate) deadline: Timestamp,
    /// It was frozen past its lease, so an overlap is excused.
    pub(crate) overslept: bool,
    report: Option<AttemptReport>,
    /// Its question to a person is stored.
    asked: bool,
    again_at: Timestamp,
}

impl Worker {
    pub(crate) fn awake(&self, now: Timestamp) -> bool {
        self.dead_until.is_none() && self.frozen_until <= now
    }
}

impl World {
    pub(crate) fn work(&mut self, at: usize) {
        let now = self.now;
        let worker = &mut self.workers[at];
        if let Some(until) = worker.dead_until {
            if until > now {
                return;
            }
            worker.dead_until = None;
            worker.incarnation += 1;
            worker.registered = false;
            worker.beat_at = now;
        }
        if self.workers[at].frozen_until > now {
            for held in &mut self.workers[at].held {
                held.overslept |= held.deadline <= now;
            }
            return;
        }
        if !self.workers[at].registered {
            if self.workers[at].beat_at <= now {
                self.workers[at].beat_at = now + SignedDuration::from_secs(1);
                let worker = self.workers[at].name.clone();
                self.send(at, Request::Register { worker }, true);
            }
            return;
        }
        // A supervisor that wakes late may send what it has before it looks at the clock.
        let careless = self.faults() && self.rng.chance(300);
        if !careless {
            let before = self.workers[at].held.len();
            self.workers[at].held.retain(|held| held.deadline > now);
            let killed = before - self.workers[at].held.len();
            if killed > 0 {
                self.note(|| format!("w{at} kills {killed} tasks whose lease ran out"));
            }
        }
        self.send_reports(at);
        self.claim(at, false);
        if self.workers[at].dead_until.is_none() {
            self.claim(at, true);
        }
        if self.workers[at].dead_until.is_some() {
            return;
        }
        if self.workers[at].beat_at <= now {
            self.workers[at].beat_at = now + SignedDuration::from_secs(3);
            let request = Request::Heartbeat {
                worker: self.workers[at].name.clone(),
                holds: self.workers[at].held.iter().map(|held| (held.key, held.token)).collect(),
            };
            self.send(at, request, true);
        }
    }

    fn send_reports(&mut self, at: usize) {
        let now = self.now;
        for position in 0..self.workers[at].held.len() {
            let held = &self.workers[at].held[position];
            if held.ends_at > now || held.again_at > now {
                continue;
            }
            let report = match &held.report {
                Some(report) => report.clone(),
                None => self.outcome(at, position),
            };
            let held = &self.workers[at].held[position];
            let asks =
                matches!(report.outcome, AttemptOutcome::Deferred { trigger: Trigger::Input, .. }) && !held.asked;
            let held = &mut self.workers[at].held[position];
            held.report = Some(report.clone());
            held.again_at = now + SignedDuration::from_secs(2);
            let request = if asks {
                let (key, token) = (report.key, report.token);
                Request::Ask { key, token, input: Box::new(self.question()) }
            } else {
                Request::Report(Box::new(report))
            };
            self.send(at, request, false);
        }
    }

    /// Offers free slots, or with `hosts` those of the trigger host.
    fn claim(&mut self, at: usize, hosts: bool) {
        let now = self.now;
        let worker = &self.workers[at];
        let queues: Vec<QueueName> = match hosts {
            false => worker.queues.clone(),
            true => worker.queues.iter().map(|queue| QueueName::from(format!("{queue}.triggers"))).collect(),
        };
        let slots = if hosts { worker.trigger_slots } else { worker.slots };
        let held = worker.held.iter().filter(|held| (held.kind == Kind::Trigger) == hosts).count();
        let offered = worker.offers.iter().filter(|offer| offer.hosts == hosts).count();
        let mut free = slots.saturating_sub(held + offered);
        let mut fresh = Vec::new();
        // The queue is away now and then: then the worker asks for whatever is next.
        let blind = self.faults() && self.rng.chance(50);
        while free > 0 {
            let key = if blind { None } else { self.queue.pop(&queues) };
            if key.is_none() && !blind {
                break;
            }
            free -= 1;
            let token = LeaseToken(Uuid::from_u128(self.rng.u128()));
            fresh.push(ClaimOffer { key, token });
            if blind {
                break;
            }
        }
        if !fresh.is_empty() && self.faults() && self.rng.chance(self.options.faults) {
            self.note(|| format!("w{at} dies with {} hints in its hand", fresh.len()));
            return self.kill_worker(at);
        }
        for offer in fresh {
            self.workers[at].offers.push(Offer { offer, hosts, first_sent: now, again_at: now });
        }
        // Offers that nobody answered: again, under the same token, and given up after a while.
        let patience = SignedDuration::from_secs(10);
        let worker = &mut self.workers[at];
        worker.offers.retain(|offer| now.duration_since(offer.first_sent) < patience);
        let mut due = Vec::new();
        for offer in &mut worker.offers {
            if offer.again_at <= now && offer.hosts == hosts {
                offer.again_at = now + SignedDuration::from_secs(2);
                due.push(offer.offer);
            }
        }
        if !due.is_empty() {
            let request = Request::Claim(ClaimRequest { worker: self.workers[at].name.clone(), queues, offers: due });
            self.send(at, request, false);
        }
    }

    /// Sends a request: it may be lost, come late, or come twice. What goes in line is never overtaken.
    fn send(&mut self, at: usize, request: Request, in_line: bool) {
        if self.faults() && self.rng.chance(self.options.faults) {
            return;
        }
        let mut arrives = self.later(400);
        if in_line {
            arrives = arrives.max(self.workers[at].line_free);
            self.workers[at].line_free = arrives;
        }
        self.order += 1;
        let letter = Letter {
            at: arrives,
            order: self.order,
            worker: at,
            incarnation: self.workers[at].incarnation,
            sent: self.now,
            request,
        };
        if !in_line && self.faults() && self.rng.chance(self.options.faults) {
            let mut twice = letter.clone();
            twice.at = self.later(20_000);
            self.order += 1;
            twice.order = self.order;
            self.letters.push(twice);
        }
        self.letters.push(letter);
    }

    /// An answer reaches its worker.
    pub(crate) fn receive(&mut self, answer: Answer) -> Result<(), String> {
        let Answer { letter, reply, .. } = answer;
        let worker = &self.workers[letter.worker];
        if worker.dead_until.is_some() || worker.incarnation != letter.incarnation {
            return Ok(());
        }
        match (letter.request, reply) {
            (Request::Claim(request), Reply::Claims(answers)) => {
                for (offer, answer) in request.offers.into_iter().zip(answers) {
                    self.claim_answered(letter.worker, offer, answer)?;
                }
            }
            (Request::Heartbeat { holds, .. }, Reply::Heartbeat { cancel }) => {
                let worker = &mut self.workers[letter.worker];
                worker.held.retain(|held| !cancel.contains(&held.token));
                for held in &mut worker.held {
                    if holds.contains(&(held.key, held.token)) {
                        held.deadline = held.deadline.max(letter.sent + lease());
                    }
                }
            }
            (Request::Register { .. }, _) => self.workers[letter.worker].registered = true,
            (Request::Ask { token, .. }, Reply::Done) => {
                for held in &mut self.workers[letter.worker].held {
                    if held.token == token {
                        held.asked = true;
                        held.again_at = self.now;
                    }
                }
            }
            // The attempt is stale.
            (Request::Ask { token, .. }, Reply::Refused(_)) => {
                self.workers[letter.worker].held.retain(|held| held.token != token);
            }
            (Request::Report(report), Reply::Done | Reply::Refused(_)) => {
                let worker = &mut self.workers[letter.worker];
                worker.held.retain(|held| held.token != report.token);
            }
            _ => {}
        }
        Ok(())
    }

    fn claim_answered(&mut self, at: usize, offer: ClaimOffer, answer: ClaimAnswer) -> Result<(), String> {
        let now = self.now;
        let (kind, key, token) = match &answer {
            ClaimAnswer::Granted(grant) if grant.ti.state == TaskState::Deferred => {
                (Kind::Trigger, grant.ti.key(), grant.token)
            }
            ClaimAnswer::Granted(grant) => (Kind::Task, grant.ti.key(), grant.token),
            ClaimAnswer::Callback(grant) => (Kind::Callback, grant.callback.key(), grant.token),
            ClaimAnswer::Nothing | ClaimAnswer::Refused(_) => {
                self.workers[at].offers.retain(|waiting| waiting.offer.token != offer.token);
                return Ok(());
            }
        };
        let worker = &mut self.workers[at];
        let Some(position) = worker.offers.iter().position(|waiting| waiting.offer.token == offer.token) else {
            // Answered already, or given up: nothing is started, and what nobody holds is given back.
            if !worker.held.iter().any(|held| held.token == token) && !worker.done.contains(&token) {
                self.give_back(at, key, token);
            }
            return Ok(());
        };
        let Offer { hosts, first_sent, .. } = worker.offers.swap_remove(position);
        if hosts != (kind == Kind::Trigger) {
            return Err(format!("I16: {key} ({kind:?}) was granted to the wrong kind of slot"));
        }
        let deadline = first_sent + lease();
        if deadline <= now {
            return Ok(());
        }
        if let (Kind::Task, ClaimAnswer::Granted(grant)) = (kind, &answer) {
            self.check_start(at, grant)?;
        }
        let most = if self.rng_long() { 40_000 } else { 4_000 };
        let length = self.rng.below(most);
        let ends_at = now + SignedDuration::from_millis(i64::try_from(length).unwrap_or(0));
        self.workers[at].done.insert(token);
        self.workers[at].held.push(Held {
            kind,
            key,
            token,
            ends_at,
            deadline,
            overslept: false,
            report: None,
            asked: false,
            again_at: ends_at,
        });
        Ok(())
    }

    fn give_back(&mut self, at: usize, key: AttemptKey, token: LeaseToken) {
        let report = AttemptReport {
            key,
            token,
            outcome: AttemptOutcome::Released,
            xcoms: Vec::new(),
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
            ended_at: self.now,
        };
        self.send(at, Request::Report(Box::new(report)), false);
    }

    pub(crate) fn kill_worker(&mut self, at: usize) {
        self.stats.worker_faults += 1;
        let until = self.later(25_000);
        let worker = &mut self.workers[at];
        worker.dead_until = Some(until);
        worker.held.clear();
        worker.offers.clear();
    }
}

pub(crate) fn lease() -> SignedDuration {
    SignedDuration::try_from(options().lease).unwrap_or(SignedDuration::ZERO)
}
