//! A small world around an engine: a clock that tests set, workers that do as told, the rows that were written.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tradewind_engine::{
    ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Effects, Engine, EngineOptions, Event, Reply, Snapshot, Trigger,
};
use tradewind_types::*;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn task(id: &str, upstream: &[&str]) -> TaskSpec {
    let noop = Operator::Native(NativeOperator::Noop(NoopOptions::default()));
    let mut task = TaskSpec::new(id, noop);
    task.upstream = upstream.iter().map(|id| TaskId::from(*id)).collect();
    task.retry.delay = Duration::from_secs(60);
    task
}

pub(crate) fn spec(dag_id: &str, tasks: Vec<TaskSpec>) -> DagSpec {
    let source = DagSource { kind: SourceKind::Yaml, rel_path: format!("{dag_id}.yaml") };
    DagSpec { tasks, ..DagSpec::new(dag_id, source) }
}

pub(crate) fn version(spec: DagSpec) -> Arc<DagVersion> {
    let text = serde_json::to_vec(&spec).unwrap();
    Arc::new(DagVersion {
        hash: VersionHash::from(sha256_hex(&text)),
        number: 0,
        bundle: None,
        created_at: at("2026-01-01T00:00:00Z"),
        spec,
    })
}

/// An attempt that a worker holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) key: AttemptKey,
    pub(crate) token: LeaseToken,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Timestamp,
    pub(crate) effects: Effects,
    pub(crate) rows: WriteSet,
    pub(crate) dispatched: Vec<Dispatch>,
    tokens: u128,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(EngineOptions::default())
    }

    pub(crate) fn with(options: EngineOptions) -> Self {
        let now = at("2026-01-10T15:20:00Z");
        let pool = Pool {
            name: PoolName::from(DEFAULT_POOL),
            slots: 128,
            description: String::new(),
            include_deferred: false,
            rate: None,
        };
        let snapshot = Snapshot { pools: vec![pool], next_run_no: 1, ..Snapshot::default() };
        let (engine, effects) = Engine::new(options, snapshot, now);
        let mut world = Self { engine, now, effects, rows: WriteSet::default(), dispatched: Vec::new(), tokens: 0 };
        world.commit();
        world
    }

    pub(crate) fn commit(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        self.rows.merge(effects.rows);
        self.dispatched.extend(effects.dispatch);
        let wrong = self.engine.check_invariants();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    pub(crate) fn step(&mut self, event: Event) -> Reply {
        let reply = self.engine.step(event, self.now, &mut self.effects);
        self.commit();
        reply
    }

    pub(crate) fn publish(&mut self, spec: DagSpec) {
        let reply = self.step(Event::DagPublished { version: version(spec), paused_by_default: false });
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    pub(crate) fn pool(&mut self, name: &str, slots: i64) {
        let reply = self.step(Event::SetPool(Pool {
            name: PoolName::from(name),
            slots,
            description: String::new(),
            include_deferred: false,
            rate: None,
        }));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    pub(crate) fn trigger_event(&self, dag_id: &str, run_id: &str) -> Trigger {
        Trigger {
            dag_id: DagId::from(dag_id),
            run_id: Some(RunId::from(run_id)),
            run_type: RunType::Manual,
            logical_date: None,
            run_after: None,
            conf: serde_json::Value::Null,
            by: "test".to_owned(),
            suffix: "x".to_owned(),
        }
    }

    pub(crate) fn trigger(&mut self, dag_id: &str, run_id: &str) -> DagRun {
        let event = Event::Trigger(self.trigger_event(dag_id, run_id));
        match self.step(event) {
            Reply::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    /// Publishes a DAG `d` and triggers its run `r`.
    pub(crate) fn start(&mut self, tasks: Vec<TaskSpec>) {
        self.publish(spec("d", tasks));
        self.trigger("d", "r");
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.step(Event::Tick);
    }

    pub(crate) fn go_to(&mut self, now: &str) {
        self.now = at(now);
        self.step(Event::Tick);
    }

    pub(crate) fn token(&mut self) -> LeaseToken {
        self.tokens += 1;
        LeaseToken(uuid::Uuid::from_u128(self.tokens))
    }

    pub(crate) fn claim_as(&mut self, worker: &str, key: Option<AttemptKey>, token: LeaseToken) -> ClaimAnswer {
        let reply = self.step(Event::Claim(ClaimRequest {
            worker: WorkerName::from(worker),
            queues: vec![QueueName::from(DEFAULT_QUEUE)],
            offers: vec![ClaimOffer { key, token }],
        }));
        match reply {
            Reply::Claims(mut answers) => answers.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// Claims what is first in the queue.
    pub(crate) fn claim_next(&mut self) -> Option<Held> {
        let token = self.token();
        match self.claim_as("w", None, token) {
            ClaimAnswer::Granted(grant) => Some(Held { key: grant.ti.key(), token }),
            ClaimAnswer::Nothing => None,
            refused => panic!("{refused:?}"),
        }
    }

    /// Claims the queued attempt of a task of run `r` of DAG `d`.
    pub(crate) fn claim(&mut self, task_id: &str) -> Held {
        self.claim_in("d", "r", task_id)
    }

    pub(crate) fn claim_in(&mut self, dag_id: &str, run_id: &str, task_id: &str) -> Held {
        let key = self.ti_in(dag_id, run_id, task_id).key();
        let token = self.token();
        let answer = self.claim_as("w", Some(key), token);
        assert!(matches!(answer, ClaimAnswer::Granted(_)), "{answer:?}");
        Held { key, token }
    }

    pub(crate) fn report_event(held: Held, outcome: AttemptOutcome) -> AttemptReport {
        AttemptReport {
            key: held.key,
            token: held.token,
            outcome,
            xcoms: Vec::new(),
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
            ended_at: at("2026-01-01T00:00:00Z"),
        }
    }

    pub(crate) fn report(&mut self, held: Held, outcome: AttemptOutcome) -> Reply {
        self.step(Event::Report(Self::report_event(held, outcome)))
    }

    /// Claims a task of `d`/`r` and ends it.
    pub(crate) fn finish(&mut self, task_id: &str, outcome: AttemptOutcome) {
        let held = self.claim(task_id);
        let reply = self.report(held, outcome);
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    pub(crate) fn succeed(&mut self, task_id: &str) {
        self.finish(task_id, AttemptOutcome::Success);
    }

    pub(crate) fn fail(&mut self, task_id: &str) {
        self.finish(task_id, AttemptOutcome::Failed { retry: true, delay: None });
    }

    /// Runs everything that is queued, with success.
    pub(crate) fn drain(&mut self) -> usize {
        let mut count = 0;
        while let Some(held) = self.claim_next() {
            self.report(held, AttemptOutcome::Success);
            count += 1;
        }
        count
    }

    /// Runs the first that is queued, with success.
    pub(crate) fn drain_one(&mut self) {
        let held = self.claim_next().unwrap();
        self.report(held, AttemptOutcome::Success);
    }

    pub(crate) fn ti(&self, task_id: &str) -> TaskInstance {
        self.ti_in("d", "r", task_id)
    }

    pub(crate) fn ti_in(&self, dag_id: &str, run_id: &str, task_id: &str) -> TaskInstance {
        self.engine
            .run(&DagId::from(dag_id), &RunId::from(run_id))
            .unwrap()
            .task_instances()
            .find(|ti| ti.task_id.as_str() == task_id)
            .unwrap()
            .clone()
    }

    pub(crate) fn state(&self, task_id: &str) -> TaskState {
        self.ti(task_id).state
    }

    pub(crate) fn states(&self, task_ids: &[&str]) -> Vec<TaskState> {
        task_ids.iter().map(|id| self.state(id)).collect()
    }

    pub(crate) fn run_state(&self, dag_id: &str, run_id: &str) -> RunState {
        self.engine.run_state(&DagId::from(dag_id), &RunId::from(run_id)).unwrap()
    }

    /// The runs of a DAG in memory, by number: id and state.
    pub(crate) fn runs_of(&self, dag_id: &str) -> Vec<(String, RunState)> {
        let mut runs: Vec<_> = self
            .engine
            .runs()
            .filter(|run| run.row().dag_id.as_str() == dag_id)
            .map(|run| {
                let row = run.row();
                (row.run_no, row.run_id.to_string(), row.state)
            })
            .collect();
        runs.sort();
        runs.into_iter().map(|(_, id, state)| (id, state)).collect()
    }

    /// The reasons that hold a task of `d`/`r`, in words.
    pub(crate) fn why(&self, task_id: &str) -> Vec<BlockReason> {
        self.engine.explain(&DagId::from("d"), &RunId::from("r"), &TaskId::from(task_id), UNMAPPED, self.now).unwrap()
    }
}

pub(crate) fn refusal(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Refused(error) => error.code,
        other => panic!("{other:?}"),
    }
}
