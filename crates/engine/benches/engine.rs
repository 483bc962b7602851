//! Throughput of the engine on one core: whole runs, from trigger to success, with the rows and dispatches that a shell
//! would commit taken every 64 events. An element is one transition; each task instance makes four: scheduled, queued,
//! running, success.

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tradewind_engine::{
    ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Effects, Engine, EngineOptions, Event, Reply, Snapshot, Trigger,
};
use tradewind_types::*;
use uuid::Uuid;

fn spec(tasks: Vec<TaskSpec>) -> DagSpec {
    let source = DagSource { kind: SourceKind::Yaml, rel_path: "bench.yaml".to_owned() };
    DagSpec { max_active_runs: 100_000, max_active_tasks: 100_000, tasks, ..DagSpec::new("bench", source) }
}

fn task(position: usize, upstream: Vec<usize>) -> TaskSpec {
    let noop = Operator::Native(NativeOperator::Noop(NoopOptions::default()));
    let mut task = TaskSpec::new(format!("task_{position}"), noop);
    task.upstream = upstream.into_iter().map(|above| TaskId::from(format!("task_{above}"))).collect();
    task
}

fn wide(width: usize) -> DagSpec {
    let mut tasks = vec![task(0, vec![])];
    tasks.extend((1..=width).map(|position| task(position, vec![0])));
    tasks.push(task(width + 1, (1..=width).collect()));
    spec(tasks)
}

/// Mapped tasks of 1,000 instances each, and one that waits for all of them.
fn mapped(instances: usize) -> DagSpec {
    let mut tasks: Vec<TaskSpec> = (0..instances / 1_000)
        .map(|position| {
            let mut task = task(position, Vec::new());
            let rows = ExpandArg::Literal { length: 1_000, values: None };
            task.expand = Some(Expand::Rows { rows });
            task
        })
        .collect();
    tasks.push(task(instances, (0..instances / 1_000).collect()));
    spec(tasks)
}

fn chain(length: usize) -> DagSpec {
    spec((0..length).map(|position| task(position, position.checked_sub(1).into_iter().collect())).collect())
}

struct Shell {
    engine: Engine,
    effects: Effects,
    events: u32,
    ready: Vec<AttemptKey>,
    tokens: u128,
    now: Timestamp,
}

impl Shell {
    fn new(spec: &DagSpec, slots: i64) -> Self {
        let now = Timestamp::from_second(1_768_058_400).unwrap_or(Timestamp::UNIX_EPOCH);
        let pool = Pool {
            name: PoolName::from(DEFAULT_POOL),
            slots,
            description: String::new(),
            include_deferred: false,
            rate: None,
        };
        let snapshot = Snapshot { pools: vec![pool], ..Snapshot::default() };
        let options = EngineOptions { parallelism: u32::MAX, ..EngineOptions::default() };
        let (engine, effects) = Engine::new(options, snapshot, now);
        let mut shell = Self { engine, effects, events: 0, ready: Vec::new(), tokens: 0, now };
        let version =
            DagVersion { hash: VersionHash::from("v"), number: 0, bundle: None, created_at: now, spec: spec.clone() };
        shell.step(Event::DagPublished { version: Arc::new(version), paused_by_default: false });
        shell
    }

    fn step(&mut self, event: Event) -> Reply {
        let reply = self.engine.step(event, self.now, &mut self.effects);
        self.events += 1;
        for dispatch in self.effects.dispatch.drain(..) {
            if let Dispatch::Push(hint) = dispatch {
                self.ready.push(hint.key);
            }
        }
        if self.events.is_multiple_of(64) {
            black_box(std::mem::take(&mut self.effects));
        }
        reply
    }

    fn trigger(&mut self, number: usize) {
        self.step(Event::Trigger(Trigger {
            dag_id: DagId::from("bench"),
            run_id: Some(RunId::from(format!("run_{number}"))),
            run_type: RunType::Manual,
            logical_date: None,
            run_after: None,
            conf: serde_json::Value::Null,
            by: "bench".to_owned(),
            suffix: String::new(),
        }));
    }

    /// Runs everything; answers how many task instances ran.
    fn drain(&mut self) -> u32 {
        let worker = WorkerName::from("w");
        let queues = vec![QueueName::from(DEFAULT_QUEUE)];
        let mut ran = 0;
        while !self.ready.is_empty() {
            let rest = self.ready.len().saturating_sub(16);
            let keys = self.ready.split_off(rest);
            let offers = keys
                .into_iter()
                .map(|key| {
                    self.tokens += 1;
                    ClaimOffer { key: Some(key), token: LeaseToken(Uuid::from_u128(self.tokens << 64 | self.tokens)) }
                })
                .collect();
            let request = ClaimRequest { worker: worker.clone(), queues: queues.clone(), offers };
            let Reply::Claims(answers) = self.step(Event::Claim(request)) else {
                continue;
            };
            for answer in answers {
                let ClaimAnswer::Granted(grant) = answer else {
                    continue;
                };
                ran += 1;
                self.step(Event::Report(AttemptReport {
                    key: grant.ti.key(),
                    token: grant.token,
                    outcome: AttemptOutcome::Success,
                    xcoms: Vec::new(),
                    skip: Vec::new(),
                    asset_events: Vec::new(),
                    rendered_map_index: None,
                    callbacks_due: false,
                    note: None,
                    ended_at: self.now,
                }));
            }
        }
        ran
    }
}

fn whole_runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("transitions");
    group.sample_size(10);
    // The curves: DAGs up to 100,000 tasks, wide and deep, and up to 10,000 active runs of 10 tasks.
    let mut curve: Vec<(String, DagSpec, usize)> = Vec::new();
    for size in [1_000, 10_000, 100_000] {
        curve.push((format!("wide_{size}"), wide(size), 1));
        curve.push((format!("chain_{size}"), chain(size), 1));
        curve.push((format!("mapped_{size}"), mapped(size), 1));
    }
    for runs in [100, 1_000, 10_000] {
        curve.push((format!("{runs}_runs_x_10_tasks"), chain(10), runs));
    }
    for (name, dag, runs) in curve {
        let instances = match &dag.tasks[0].expand {
            Some(_) => 1 + 1_000 * (dag.tasks.len() - 1),
            None => dag.tasks.len() * runs,
        };
        // Scheduled, queued, running, success.
        group.throughput(Throughput::Elements(4 * instances as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_batched(
                || {
                    let mut shell = Shell::new(&dag, -1);
                    for number in 0..runs {
                        shell.trigger(number);
                    }
                    black_box(std::mem::take(&mut shell.effects));
                    shell
                },
                |mut shell| {
                    let ran = shell.drain();
                    assert_eq!(ran as usize, instances);
                    // Dropping it is not measured.
                    shell
                },
                BatchSize::LargeInput,
            );
        });
    }
    // The cost of a transition when a pool holds most back, and when a hundred thousand others wait.
    let narrow = wide(10_000);
    group.throughput(Throughput::Elements(4 * narrow.tasks.len() as u64));
    group.bench_function("wide_1_10k_1_through_16_slots", |b| {
        b.iter_batched(
            || {
                let mut shell = Shell::new(&narrow, 16);
                shell.trigger(0);
                shell
            },
            |mut shell| {
                shell.drain();
                shell
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn creation(c: &mut Criterion) {
    let mut group = c.benchmark_group("creation");
    group.sample_size(10);
    let dag = chain(10);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("task_instances_of_1000_runs", |b| {
        b.iter_batched(
            || Shell::new(&dag, -1),
            |mut shell| {
                for number in 0..1_000 {
                    shell.trigger(number);
                }
                shell
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, whole_runs, creation);
criterion_main!(benches);
