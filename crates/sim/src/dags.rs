//! Random DAGs for a simulation: small graphs with all kinds of rules, limits and schedules.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tradewind_types::{
    DagId, DagSource, DagSpec, DagVersion, Delta, NativeOperator, NoopOptions, Operator, PoolName, QueueName,
    RetrySpec, SourceKind, TaskId, TaskSpec, Timestamp, Timetable, TriggerRule, VersionHash, WeightRule, sha256_hex,
};

use crate::rng::Rng;

pub(crate) const POOLS: [&str; 3] = ["default_pool", "narrow", "wide"];
pub(crate) const QUEUES: [&str; 2] = ["default", "ml"];

/// A DAG named `dag{number}`; no two calls give the same content.
pub(crate) fn random(rng: &mut Rng, number: usize, now: Timestamp) -> Arc<DagVersion> {
    let count = 1 + rng.index(8);
    let plain = rng.chance(400);
    let tasks: Vec<TaskSpec> = (0..count).map(|position| random_task(rng, position, plain)).collect();
    // Versions of one DAG agree on catchup, as the rules of past dependence do not mix.
    let catchup = number.is_multiple_of(2);
    let timetable = match rng.below(4) {
        0 => Timetable::DeltaTrigger {
            delta: Delta::seconds(60 + 60 * i64::try_from(rng.below(5)).unwrap_or(0)),
            interval: Delta::default(),
        },
        1 => Timetable::Once,
        _ => Timetable::None,
    };
    let spec = DagSpec {
        dag_id: DagId::from(format!("dag{number}")),
        display_name: None,
        description: Some(format!("{:x}", rng.next())),
        doc_md: None,
        timetable,
        schedule_text: None,
        timezone: "UTC".to_owned(),
        start_date: Some(now),
        end_date: None,
        catchup,
        max_active_runs: 1 + u32::try_from(rng.below(3)).unwrap_or(0),
        max_active_tasks: 1 + u32::try_from(rng.below(4)).unwrap_or(0),
        max_consecutive_failed_dag_runs: 0,
        dagrun_timeout: rng.chance(100).then(|| Duration::from_secs(120)),
        fail_fast: rng.chance(100),
        is_paused_upon_creation: None,
        tags: Vec::new(),
        owners: Vec::new(),
        params: BTreeMap::new(),
        tasks,
        task_groups: Vec::new(),
        source: DagSource { kind: SourceKind::Yaml, rel_path: format!("dag{number}.yaml") },
    };
    let text = format!("{spec:?}");
    Arc::new(DagVersion {
        hash: VersionHash::from(sha256_hex(text.as_bytes())),
        number: 0,
        bundle: None,
        created_at: now,
        spec,
    })
}

fn random_task(rng: &mut Rng, position: usize, plain: bool) -> TaskSpec {
    let operator =
        if rng.chance(80) { Operator::Empty } else { Operator::Native(NativeOperator::Noop(NoopOptions::default())) };
    let mut task = TaskSpec::new(format!("t{position}"), operator);
    task.upstream = (0..position).filter(|_| rng.chance(450)).map(|above| TaskId::from(format!("t{above}"))).collect();
    task.retry = RetrySpec {
        retries: u32::try_from(rng.below(4)).unwrap_or(0),
        delay: Duration::from_secs(rng.below(20)),
        exponential_backoff: if rng.chance(500) { 2.0 } else { 0.0 },
        max_delay: Some(Duration::from_secs(60)),
    };
    task.queue = QueueName::from(rng.pick(&QUEUES));
    task.pool = PoolName::from(rng.pick(&POOLS));
    task.pool_slots = 1 + u32::from(rng.chance(250));
    task.priority_weight = i64::try_from(rng.below(5)).unwrap_or(0);
    task.weight_rule = rng.pick(WeightRule::ALL);
    if !plain {
        task.trigger_rule = if rng.chance(500) { TriggerRule::AllSuccess } else { rng.pick(TriggerRule::ALL) };
        task.depends_on_past = rng.chance(60);
        task.wait_for_downstream = rng.chance(30);
        if rng.chance(100) {
            task.max_active_tis_per_dag = Some(1);
        }
        if rng.chance(50) {
            task.max_active_tis_per_dagrun = Some(1);
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
    task
}
