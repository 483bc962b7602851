//! Random DAGs for a simulation: small graphs with all kinds of rules, limits, schedules, mapping, waits, assets and
//! callbacks.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tradewind_types::{
    Asset, AssetCondition, AssetKey, AssetRef, ConcurrencyLimit, DagSource, DagSpec, DagVersion, DeadlineReference,
    DeadlineSpec, Delta, Expand, ExpandArg, NativeOperator, NoopOptions, Operator, PoolName, QueueName, RetrySpec,
    SourceKind, StartTrigger, TaskGroupSpec, TaskId, TaskSpec, Timestamp, Timetable, Trigger, TriggerRule, VersionHash,
    WeightRule, XCOM_RETURN_KEY, sha256_hex,
};

use crate::rng::Rng;

pub(crate) const POOLS: [&str; 3] = ["default_pool", "narrow", "wide"];
pub(crate) const QUEUES: [&str; 2] = ["default", "ml"];
pub(crate) const ASSETS: [&str; 2] = ["orders", "prices"];
pub(crate) const ALIAS: &str = "latest";
const GROUP: &str = "each";

/// The asset with a name.
pub(crate) fn asset(name: &str) -> AssetKey {
    AssetKey { name: name.to_owned(), uri: format!("s3://sim/{name}") }
}

/// A DAG named `dag{number}`; no two calls give the same content.
pub(crate) fn random(rng: &mut Rng, number: usize, now: Timestamp) -> Arc<DagVersion> {
    let count = 1 + rng.index(8);
    let plain = rng.chance(400);
    let mut tasks: Vec<TaskSpec> = (0..count).map(|position| random_task(rng, position, plain)).collect();
    let mut task_groups = Vec::new();
    if rng.chance(400) {
        task_groups = map_some(rng, &mut tasks);
    }
    let dag_id = format!("dag{number}");
    let source = DagSource { kind: SourceKind::Yaml, rel_path: format!("{dag_id}.yaml") };
    let spec = DagSpec {
        description: Some(format!("{:x}", rng.next())),
        timetable: random_timetable(rng, 6),
        start_date: Some(now),
        // Versions of one DAG agree on catchup, as the rules of past dependence do not mix.
        catchup: number.is_multiple_of(2),
        max_active_runs: 1 + small(rng, 3),
        max_active_tasks: 1 + small(rng, 4),
        dagrun_timeout: rng.chance(100).then(|| Duration::from_secs(120)),
        fail_fast: rng.chance(100),
        task_limit: rng.chance(150).then(|| 1 + small(rng, 3)),
        on_success_callback: rng.chance(200),
        on_failure_callback: rng.chance(200),
        deadlines: random_deadlines(rng),
        assets: ASSETS
            .iter()
            .map(|name| Asset { key: asset(name), group: "asset".to_owned(), extra: json!({}) })
            .collect(),
        tasks,
        task_groups,
        ..DagSpec::new(dag_id, source)
    };
    let text = serde_json::to_vec(&spec).unwrap_or_default();
    Arc::new(DagVersion { hash: VersionHash::from(sha256_hex(&text)), number: 0, bundle: None, created_at: now, spec })
}

fn small(rng: &mut Rng, below: u64) -> u32 {
    u32::try_from(rng.below(below)).unwrap_or(0)
}

fn random_timetable(rng: &mut Rng, kinds: u64) -> Timetable {
    match rng.below(kinds) {
        0 => Timetable::DeltaTrigger {
            delta: Delta::seconds(60 + 60 * i64::from(small(rng, 5))),
            interval: Delta::default(),
        },
        1 => Timetable::Once,
        2 => Timetable::Custom { class: "sim.Timetable".to_owned(), data: "{}".to_owned(), periodic: true },
        4 => Timetable::Assets { condition: random_condition(rng) },
        5 => Timetable::AssetOrTime { timetable: Box::new(random_timetable(rng, 1)), condition: random_condition(rng) },
        _ => Timetable::None,
    }
}

fn random_condition(rng: &mut Rng) -> AssetCondition {
    let one = |rng: &mut Rng| AssetCondition::One {
        asset: match rng.below(5) {
            0 => AssetRef::Alias { name: ALIAS.to_owned() },
            1 => AssetRef::Name { name: rng.pick(&ASSETS).to_owned() },
            _ => AssetRef::Asset(asset(rng.pick(&ASSETS))),
        },
    };
    let of = vec![one(rng), one(rng)];
    match rng.below(3) {
        0 => AssetCondition::All { of },
        1 => AssetCondition::Any { of },
        _ => one(rng),
    }
}

fn random_deadlines(rng: &mut Rng) -> Vec<DeadlineSpec> {
    let count = if rng.chance(150) { 1 + rng.index(2) } else { 0 };
    let deadline = |rng: &mut Rng, place: usize| DeadlineSpec {
        name: None,
        reference: if rng.chance(400) { DeadlineReference::LogicalDate } else { DeadlineReference::QueuedAt },
        interval_micros: i64::from(small(rng, 60)) * 1_000_000,
        callback: json!({ "place": place }),
    };
    (0..count).map(|place| deadline(rng, place)).collect()
}

/// Maps some tasks over something: a few by themselves, or a run of them as a group.
fn map_some(rng: &mut Rng, tasks: &mut [TaskSpec]) -> Vec<TaskGroupSpec> {
    let count = tasks.len();
    if count >= 2 && rng.chance(500) {
        let from = rng.index(count);
        let to = from + 1 + rng.index(count - from);
        // A group is mapped over what lies above all of it.
        let expand = random_expand(rng, &(0..from).map(task_id).collect::<Vec<_>>());
        for task in &mut tasks[from..to] {
            for above in expand.dependencies() {
                if !task.upstream.contains(above) {
                    task.upstream.push(above.clone());
                }
            }
            task.mapped_group = Some(GROUP.to_owned());
        }
        let members = tasks[from..to].iter().map(|task| task.task_id.clone()).collect();
        return vec![TaskGroupSpec {
            group_id: GROUP.to_owned(),
            tasks: members,
            expand: Some(expand),
            ..TaskGroupSpec::default()
        }];
    }
    for task in tasks {
        if rng.chance(400) {
            let upstream = task.upstream.clone();
            task.expand = Some(random_expand(rng, &upstream));
        }
    }
    Vec::new()
}

fn random_expand(rng: &mut Rng, above: &[TaskId]) -> Expand {
    let arg = |rng: &mut Rng| {
        if above.is_empty() || rng.chance(300) {
            return ExpandArg::Literal { length: rng.below(4), values: None };
        }
        let task_id = above[rng.index(above.len())].clone();
        ExpandArg::XCom { task_id, key: XCOM_RETURN_KEY.to_owned() }
    };
    match rng.below(4) {
        0 => Expand::Product { arguments: vec![("x".to_owned(), arg(rng)), ("y".to_owned(), arg(rng))] },
        1 => Expand::Rows { rows: ExpandArg::Map { arg: Box::new(arg(rng)) } },
        2 => Expand::Rows { rows: ExpandArg::Zip { args: vec![arg(rng), arg(rng)], fill: rng.chance(500) } },
        _ => Expand::Product { arguments: vec![("x".to_owned(), arg(rng))] },
    }
}

fn task_id(position: usize) -> TaskId {
    TaskId::from(format!("t{position}"))
}

fn random_task(rng: &mut Rng, position: usize, plain: bool) -> TaskSpec {
    let operator =
        if rng.chance(60) { Operator::Empty } else { Operator::Native(NativeOperator::Noop(NoopOptions::default())) };
    let mut task = TaskSpec::new(task_id(position), operator);
    task.upstream = (0..position).filter(|_| rng.chance(450)).map(task_id).collect();
    task.retry = RetrySpec {
        retries: small(rng, 4),
        delay: Duration::from_secs(rng.below(20)),
        exponential_backoff: if rng.chance(500) { 2.0 } else { 0.0 },
        max_delay: Some(Duration::from_secs(60)),
    };
    task.queue = QueueName::from(rng.pick(&QUEUES));
    task.pool = PoolName::from(rng.pick(&POOLS));
    task.pool_slots = 1 + u32::from(rng.chance(250));
    task.priority_weight = i64::from(small(rng, 5));
    task.weight_rule = rng.pick(WeightRule::ALL);
    if rng.chance(300) {
        task.outlets = vec![AssetRef::Asset(asset(rng.pick(&ASSETS)))];
    }
    task.on_failure_callback = rng.chance(300);
    task.on_retry_callback = rng.chance(200);
    if rng.chance(100) {
        let key = rng.pick(&["warehouse", "licence"]).to_owned();
        task.concurrency = vec![ConcurrencyLimit { key, limit: 1 + small(rng, 2) }];
    }
    if !plain {
        unusual(rng, &mut task);
    }
    task
}

fn unusual(rng: &mut Rng, task: &mut TaskSpec) {
    task.trigger_rule = if rng.chance(500) { TriggerRule::AllSuccess } else { rng.pick(TriggerRule::ALL) };
    task.depends_on_past = rng.chance(60);
    task.wait_for_downstream = rng.chance(30);
    if rng.chance(100) {
        task.max_active_tis_per_dag = Some(1);
    }
    if rng.chance(50) {
        task.max_active_tis_per_dagrun = Some(1);
    }
    if rng.chance(60) {
        task.start_trigger = Some(StartTrigger {
            trigger: Trigger::Hosted { class: "sim.Trigger".to_owned(), kwargs: json!({}) },
            timeout_micros: rng.chance(300).then_some(20_000_000),
            next_method: "go_on".to_owned(),
            next_kwargs: json!({}),
        });
    }
    match rng.below(12) {
        0 => task.is_setup = true,
        1 => {
            task.is_teardown = true;
            task.trigger_rule = TriggerRule::AllDoneSetupSuccess;
            task.on_failure_fail_dagrun = rng.chance(300);
        }
        _ => {}
    }
}
