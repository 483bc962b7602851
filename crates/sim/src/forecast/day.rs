//! The next hours: the engine under a virtual clock, with workers that take as long as tasks usually take.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::json;
use tradewind_engine::{ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Effects, Engine, EngineOptions, Event, Reply};
use tradewind_types::{
    ApiError, AssetRef, AttemptKey, AttemptOutcome, AttemptReport, CallbackGrant, DagId, DagSpec, Grant, LeaseToken,
    OutletEvent, QueueName, TaskId, TaskState, Timestamp, WorkerName, XCOM_RETURN_KEY, XComValue,
};
use uuid::Uuid;

use super::{
    Setup, snapshot,
    summary::{Forecast, Tally},
};

/// How long a callback takes, and a task that goes on after its trigger.
const SHORT: Duration = Duration::from_secs(1);

/// More steps than this without time going on are a DAG that never stands still.
const STEPS_AT_ONCE: u32 = 10_000;

/// What runs.
struct Running {
    worker: usize,
    key: AttemptKey,
    token: LeaseToken,
    what: What,
}

enum What {
    Task(DagId, TaskId, Vec<OutletEvent>),
    Trigger,
    Callback,
}

/// Slots that work is taken for.
struct Slots {
    name: WorkerName,
    queues: Vec<QueueName>,
    free: u64,
}

struct Machine<'a> {
    setup: &'a Setup,
    engine: Engine,
    now: Timestamp,
    slots: Vec<Slots>,
    running: HashMap<u64, Running>,
    ends: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// Numbers what runs; also makes tokens.
    next: u64,
    tally: Tally,
}

/// Lets the engine schedule from `setup.at` for `horizon`.
///
/// # Errors
/// The engine refuses what it always takes, or a DAG makes runs without end at one instant.
pub fn forecast(setup: &Setup, horizon: Duration) -> Result<Forecast, ApiError> {
    let end = SignedDuration::try_from(horizon)
        .ok()
        .and_then(|horizon| setup.at.checked_add(horizon).ok())
        .ok_or_else(|| ApiError::invalid("the forecast would reach beyond the calendar".to_owned()))?;
    let options = EngineOptions {
        parallelism: setup.parallelism,
        // Nobody renews a lease here, and none runs out.
        lease: horizon.saturating_add(Duration::from_secs(86_400)),
        ..EngineOptions::default()
    };
    let (engine, effects) = Engine::new(options, snapshot(setup.at, &setup.dags, setup.pools.clone()), setup.at);
    let mut machine = Machine {
        setup,
        engine,
        now: setup.at,
        slots: slots(setup),
        running: HashMap::new(),
        ends: BinaryHeap::new(),
        next: 1,
        tally: Tally::new(setup.at, end),
    };
    machine.take_note(effects);
    machine.run(end)?;
    Ok(machine.tally.summary(setup, &machine.engine))
}

/// The workers' slots, and a host for triggers, which take none.
fn slots(setup: &Setup) -> Vec<Slots> {
    let mut queues: BTreeSet<QueueName> = setup.workers.iter().flat_map(|worker| worker.queues.clone()).collect();
    let mut slots: Vec<Slots> = setup
        .workers
        .iter()
        .map(|worker| Slots { name: worker.name.clone(), queues: worker.queues.clone(), free: u64::from(worker.slots) })
        .collect();
    if slots.is_empty() {
        let tasks = setup.dags.iter().flat_map(|dag| &dag.version.spec.tasks);
        queues.extend(tasks.map(|task| task.queue.clone()));
        queues.insert(QueueName::from(tradewind_types::DEFAULT_QUEUE));
        let queues = queues.iter().cloned().collect();
        slots.push(Slots { name: WorkerName::from("worker"), queues, free: u64::MAX });
    }
    let queues = queues.iter().map(|queue| QueueName::from(format!("{queue}.triggers"))).collect();
    slots.push(Slots { name: WorkerName::from("trigger-host"), queues, free: u64::MAX });
    slots
}

impl Machine<'_> {
    fn run(&mut self, end: Timestamp) -> Result<(), ApiError> {
        let mut at_once = 0;
        self.claim()?;
        loop {
            let due = [self.engine.next_wakeup(), self.ends.peek().map(|Reverse((at, _))| *at)];
            let Some(next) = due.into_iter().flatten().min().filter(|at| *at < end) else { break };
            at_once = if next > self.now { 0 } else { at_once + 1 };
            if at_once > STEPS_AT_ONCE {
                return Err(ApiError::invalid(format!(
                    "the DAGs never stand still at {}: a schedule makes runs without end",
                    self.now
                )));
            }
            self.go_to(next);
            while let Some(Reverse((at, number))) = self.ends.peek().copied()
                && at <= self.now
            {
                self.ends.pop();
                self.report(number)?;
            }
            self.step(Event::Tick)?;
            self.claim()?;
        }
        self.go_to(end);
        Ok(())
    }

    /// Lets time pass: what is in use now was so until then.
    fn go_to(&mut self, at: Timestamp) {
        let at = at.max(self.now);
        if at > self.now {
            self.tally.pass(self.now, at, &self.engine);
        }
        self.now = at;
    }

    fn step(&mut self, event: Event) -> Result<Reply, ApiError> {
        let mut effects = Effects::default();
        let reply = self.engine.step(event, self.now, &mut effects);
        self.take_note(effects);
        match reply {
            Reply::Refused(error) => Err(error),
            reply => Ok(reply),
        }
    }

    fn take_note(&mut self, effects: Effects) {
        for changed in effects.rows.runs.values() {
            self.tally.run(&changed.row);
        }
        for dispatch in effects.dispatch {
            if let Dispatch::AskTimetable(question) = dispatch {
                self.tally.unknown(question.dag_id);
            }
        }
    }

    /// Every free slot takes what is best for it, one after the other, until nothing is left.
    fn claim(&mut self) -> Result<(), ApiError> {
        loop {
            let mut took = false;
            for at in 0..self.slots.len() {
                if self.slots[at].free > 0 {
                    took |= self.claim_one(at)?;
                }
            }
            if !took {
                return Ok(());
            }
        }
    }

    fn claim_one(&mut self, at: usize) -> Result<bool, ApiError> {
        let slots = &self.slots[at];
        if slots.queues.iter().all(|queue| self.engine.queued_in(queue) == 0) {
            return Ok(false);
        }
        let number = self.next;
        let token = LeaseToken(Uuid::from_u128(u128::from(number)));
        let request = ClaimRequest {
            worker: slots.name.clone(),
            queues: slots.queues.clone(),
            offers: vec![ClaimOffer { key: None, token }],
        };
        self.next += 1;
        let Reply::Claims(answers) = self.step(Event::Claim(request))? else { return Ok(false) };
        for answer in answers {
            let (key, what, lasts) = match answer {
                ClaimAnswer::Granted(grant) => self.granted(&grant),
                ClaimAnswer::Callback(grant) => callback(&grant),
                ClaimAnswer::Nothing | ClaimAnswer::Refused(_) => return Ok(false),
            };
            self.slots[at].free -= 1;
            self.running.insert(number, Running { worker: at, key, token, what });
            let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
            let ends = self.now.checked_add(lasts).unwrap_or(Timestamp::MAX);
            self.ends.push(Reverse((ends, number)));
        }
        Ok(true)
    }

    fn granted(&mut self, grant: &Grant) -> (AttemptKey, What, Duration) {
        let ti = &grant.ti;
        let usual = self.setup.history.duration(&ti.dag_id, &ti.task_id);
        if ti.state == TaskState::Deferred {
            return (ti.key(), What::Trigger, usual);
        }
        // The time that it usually takes went by in its trigger.
        let resumes = ti.deferral.is_some();
        if !resumes {
            self.tally.started(ti, self.now);
        }
        let updates =
            grant.version.spec.task(ti.task_id.as_str()).map(|task| updates(&task.outlets, &grant.version.spec));
        let what = What::Task(ti.dag_id.clone(), ti.task_id.clone(), updates.unwrap_or_default());
        (ti.key(), what, if resumes { SHORT } else { usual })
    }

    fn report(&mut self, number: u64) -> Result<(), ApiError> {
        let Some(Running { worker, key, token, what }) = self.running.remove(&number) else { return Ok(()) };
        self.slots[worker].free += 1;
        let mut report = AttemptReport {
            key,
            token,
            outcome: AttemptOutcome::Success,
            xcoms: Vec::new(),
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
            ended_at: self.now,
        };
        match what {
            What::Task(dag_id, task_id, updates) => {
                let length = self.setup.history.length(&dag_id, &task_id);
                report.xcoms = vec![XComValue {
                    key: XCOM_RETURN_KEY.to_owned(),
                    value: serde_json::Value::Null,
                    object: None,
                    mapped_length: Some(length),
                }];
                report.asset_events = updates;
            }
            What::Trigger => report.outcome = AttemptOutcome::TriggerFired { event: serde_json::Value::Null },
            What::Callback => {}
        }
        match self.step(Event::Report(report)) {
            // Meanwhile its run timed out or failed fast: what it says changes nothing.
            Err(error) if error.code == tradewind_types::ErrorCode::StaleAttempt => Ok(()),
            other => other.map(drop),
        }
    }
}

fn callback(grant: &CallbackGrant) -> (AttemptKey, What, Duration) {
    (grant.callback.key(), What::Callback, SHORT)
}

/// The updates that a task's outlets stand for. What an alias will stand for, only the task knows.
fn updates(outlets: &[AssetRef], spec: &DagSpec) -> Vec<OutletEvent> {
    let named = |is: &dyn Fn(&tradewind_types::AssetKey) -> bool| {
        spec.assets.iter().map(|asset| &asset.key).find(|key| is(key)).cloned()
    };
    let asset = |outlet: &AssetRef| match outlet {
        AssetRef::Asset(key) => Some(key.clone()),
        AssetRef::Name { name } => named(&|key| key.name == *name),
        AssetRef::Uri { uri } => named(&|key| key.uri == *uri),
        AssetRef::Alias { .. } => None,
    };
    let event = |asset| OutletEvent { asset, extra: json!({}), aliases: Vec::new() };
    outlets.iter().filter_map(asset).map(event).collect()
}
