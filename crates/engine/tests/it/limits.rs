//! Pools, priorities and concurrency limits.

use tradewind_engine::{EngineOptions, Event};
use tradewind_types::*;

use crate::support::{World, refusal, spec, task};

fn queued(world: &World) -> Vec<String> {
    let mut ids: Vec<String> = world
        .engine
        .runs()
        .flat_map(|run| run.task_instances())
        .filter(|ti| ti.state == TaskState::Queued)
        .map(|ti| format!("{}/{}", ti.run_id, ti.task_id))
        .collect();
    ids.sort();
    ids
}

fn pooled(id: &str, pool: &str, slots: u32, weight: i64) -> TaskSpec {
    let mut task = task(id, &[]);
    task.pool = PoolName::from(pool);
    task.pool_slots = slots;
    task.priority_weight = weight;
    task
}

#[test]
fn a_pool_admits_by_priority_and_lets_smaller_ones_pass() {
    let mut world = World::new();
    world.pool("p", 3);
    world.start(vec![pooled("big", "p", 2, 5), pooled("bigger", "p", 2, 9), pooled("small", "p", 1, 1)]);
    assert_eq!(queued(&world), ["r/bigger", "r/small"]);
    let why = world.why("big");
    assert!(
        matches!(&why[..], [BlockReason::PoolFull { needs: 2, open: 0, slots: 3, holders, .. }] if holders.len() == 2),
        "{why:?}"
    );
    world.succeed("small");
    assert_eq!(queued(&world), ["r/bigger"]);
    world.succeed("bigger");
    assert_eq!(queued(&world), ["r/big"]);
}

#[test]
fn missing_small_endless_and_changed_pools() {
    let mut world = World::new();
    world.pool("small", 1);
    world.pool("endless", -1);
    let mut tasks = vec![pooled("nowhere", "none", 1, 1), pooled("wide", "small", 2, 1)];
    tasks.extend((0..40).map(|n| pooled(&format!("e{n}"), "endless", 7, 1)));
    let mut dag = spec("d", tasks);
    dag.max_active_tasks = 100;
    world.publish(dag);
    world.trigger("d", "r");
    assert_eq!(queued(&world).len(), 40);
    assert!(matches!(&world.why("nowhere")[..], [BlockReason::PoolMissing { .. }]));
    assert!(matches!(&world.why("wide")[..], [BlockReason::PoolTooSmall { needs: 2, slots: 1, .. }]));
    world.pool("none", 1);
    assert_eq!(world.state("nowhere"), TaskState::Queued);
    world.pool("small", 2);
    assert_eq!(world.state("wide"), TaskState::Queued);
    let usage = world.engine.pool_usage();
    let open: Vec<_> = usage.iter().map(|(pool, usage)| (pool.name.as_str(), usage.open)).collect();
    assert_eq!(open, [("default_pool", 128), ("endless", -1), ("none", 0), ("small", 0)]);
    // Shrunk below its use: nothing more until there is room.
    world.pool("small", 0);
    let usage = world.engine.pool_usage();
    assert_eq!(usage[3].1.open, -2);
}

#[test]
fn pools_are_checked_and_the_default_one_stays() {
    let mut world = World::new();
    let delete = |world: &mut World, name: &str| world.step(Event::DeletePool(name.into()));
    assert_eq!(refusal(delete(&mut world, "default_pool")), ErrorCode::Conflict);
    assert_eq!(refusal(delete(&mut world, "none")), ErrorCode::NotFound);
    for (name, slots) in [("bad name", 1), ("p", -2)] {
        let pool = Pool { name: name.into(), slots, description: String::new(), include_deferred: false, rate: None };
        assert_eq!(refusal(world.step(Event::SetPool(pool))), ErrorCode::Invalid);
    }
    world.pool("p", 1);
    delete(&mut world, "p");
    assert_eq!(refusal(delete(&mut world, "p")), ErrorCode::NotFound);
}

#[test]
fn weight_rules_count_each_task_once_and_saturate() {
    let diamond = |rule| {
        let mut tasks = vec![task("a", &[]), task("b", &["a"]), task("c", &["a"]), task("d", &["b", "c"])];
        for (task, weight) in tasks.iter_mut().zip([1, 2, 4, 8]) {
            task.weight_rule = rule;
            task.priority_weight = weight;
        }
        tasks
    };
    for (rule, expected) in [
        (WeightRule::Downstream, [15, 10, 12, 8]),
        (WeightRule::Upstream, [1, 3, 5, 15]),
        (WeightRule::Absolute, [1, 2, 4, 8]),
    ] {
        let mut world = World::new();
        world.start(diamond(rule));
        let weights = ["a", "b", "c", "d"].map(|id| world.ti(id).priority_weight);
        assert_eq!(weights, expected, "{rule}");
    }
    let mut world = World::new();
    let mut tasks = diamond(WeightRule::Downstream);
    tasks[2].priority_weight = i64::MAX;
    world.start(tasks);
    assert_eq!(world.ti("a").priority_weight, i64::MAX);
}

#[test]
fn weights_of_large_graphs_agree_with_a_plain_walk() {
    // Many forks: the bitset way; compared with a walk from each task.
    let count = 150usize;
    let tasks: Vec<TaskSpec> = (0..count)
        .map(|n| {
            let upstream: Vec<String> =
                (0..n).filter(|above| (above * 7 + n * 13) % 11 == 0).map(|above| format!("t{above}")).collect();
            let upstream: Vec<&str> = upstream.iter().map(String::as_str).collect();
            let mut task = task(&format!("t{n}"), &upstream);
            task.priority_weight = i64::try_from(n).unwrap();
            task
        })
        .collect();
    let mut world = World::new();
    world.start(tasks.clone());
    for start in 0..count {
        let mut seen = vec![false; count];
        let mut stack = vec![start];
        while let Some(at) = stack.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                let name = format!("t{at}");
                stack.extend((0..count).filter(|&below| tasks[below].upstream.iter().any(|up| up.as_str() == name)));
            }
        }
        let sum: i64 = (0..count).filter(|&n| seen[n]).map(|n| tasks[n].priority_weight).sum();
        assert_eq!(world.ti(&format!("t{start}")).priority_weight, sum, "t{start}");
    }
}

#[test]
fn parallelism_goes_to_the_best_over_all_pools() {
    let mut world = World::with(EngineOptions { parallelism: 2, ..EngineOptions::default() });
    world.pool("p", 10);
    world.pool("q", 10);
    world.start(vec![pooled("a", "p", 1, 1), pooled("b", "q", 1, 3), pooled("c", "p", 1, 2)]);
    assert_eq!(queued(&world), ["r/b", "r/c"]);
    assert!(matches!(world.why("a")[..], [BlockReason::Parallelism { active: 2, limit: 2 }]));
    world.succeed("c");
    assert_eq!(queued(&world), ["r/a", "r/b"]);
}

#[test]
fn max_active_tasks_holds_one_run_not_the_next_and_not_other_pools() {
    let mut world = World::new();
    world.pool("closed", 0);
    let mut dag = spec("d", vec![pooled("stuck", "closed", 1, 9), task("a", &[]), task("b", &[]), task("c", &[])]);
    dag.max_active_tasks = 2;
    world.publish(dag);
    world.trigger("d", "r");
    // The stuck one has the highest priority, and holds nothing up.
    assert_eq!(queued(&world), ["r/a", "r/b"]);
    assert!(matches!(world.why("c")[..], [BlockReason::MaxActiveTasks { active: 2, limit: 2 }]));
    world.trigger("d", "s");
    assert_eq!(queued(&world).len(), 4);
    world.succeed("a");
    assert_eq!(world.state("c"), TaskState::Queued);
}

#[test]
fn max_active_tis_per_dag_counts_over_runs_and_parks_fairly() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.max_active_tis_per_dag = Some(2);
    let mut dag = spec("d", vec![a, task("b", &[])]);
    dag.max_active_runs = 10;
    world.publish(dag);
    for run in ["r", "r2", "r3", "r4"] {
        world.trigger("d", run);
    }
    let of_a = |world: &World| -> Vec<String> { queued(world).into_iter().filter(|id| id.ends_with("/a")).collect() };
    assert_eq!(of_a(&world), ["r/a", "r2/a"]);
    let why = world.engine.explain(&"d".into(), &"r3".into(), &"a".into(), UNMAPPED, world.now).unwrap();
    assert!(why.contains(&BlockReason::MaxActiveTisPerDag { active: 2, limit: 2 }), "{why:?}");
    let held = world.claim_in("d", "r", "a");
    assert_eq!(of_a(&world), ["r2/a"]);
    world.report(held, AttemptOutcome::Success);
    assert_eq!(of_a(&world), ["r2/a", "r3/a"]);
    let held = world.claim_in("d", "r2", "a");
    world.report(held, AttemptOutcome::Success);
    assert_eq!(of_a(&world), ["r3/a", "r4/a"]);
}

#[test]
fn a_limit_of_zero_per_run_blocks_and_says_so() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.max_active_tis_per_dagrun = Some(0);
    world.start(vec![a]);
    assert_eq!(world.state("a"), TaskState::Scheduled);
    assert!(matches!(world.why("a")[..], [BlockReason::MaxActiveTisPerDagrun { active: 0, limit: 0 }]));
}

#[test]
fn the_order_is_priority_then_logical_date_then_age() {
    let mut world = World::with(EngineOptions { parallelism: 1, ..EngineOptions::default() });
    world.publish(spec("d", vec![task("a", &[])]));
    let mut trigger = |run: &str, date: Option<&str>| {
        let mut event = world.trigger_event("d", run);
        event.logical_date = date.map(|date| date.parse().unwrap());
        world.step(Event::Trigger(event));
    };
    trigger("first", None);
    trigger("null", None);
    trigger("late", Some("2026-01-03T00:00:00Z"));
    trigger("early", Some("2026-01-02T00:00:00Z"));
    let mut order = Vec::new();
    while let Some(held) = world.claim_next() {
        order.push(world.engine.task_instance(held.key.ti).unwrap().run_id.to_string());
        world.report(held, AttemptOutcome::Success);
    }
    assert_eq!(order, ["first", "early", "late", "null"]);
}

#[test]
fn a_paused_dag_admits_nothing_new_and_lets_go_on_what_runs() {
    let mut world = World::new();
    world.start(vec![task("a", &[]), task("b", &["a"])]);
    let held = world.claim("a");
    let pause = |world: &mut World, paused| {
        world.step(Event::SetPaused { dag_id: "d".into(), paused, by: "ann".to_owned() });
    };
    pause(&mut world, true);
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.state("b"), TaskState::NoStatus);
    assert_eq!(world.run_state("d", "r"), RunState::Running);
    assert!(matches!(world.why("b")[..], [BlockReason::DagPaused]));
    pause(&mut world, false);
    assert_eq!(world.state("b"), TaskState::Queued);
    assert_eq!(world.rows.audit.len(), 2);
}

#[test]
fn queue_status_counts_and_knows_the_oldest() {
    let mut world = World::new();
    let start = world.now;
    world.start(vec![task("a", &[]), task("b", &[])]);
    world.pass(5);
    world.trigger("d", "s");
    let status = &world.engine.queue_status()[0];
    assert_eq!((status.queued, status.oldest, status.running), (4, Some(start), 0));
    world.succeed("a");
    world.claim("b");
    let status = &world.engine.queue_status()[0];
    assert_eq!((status.queued, status.oldest, status.running), (2, Some(world.now), 1));
    assert_eq!(world.engine.all_queued_hints().len(), 2);
    for hint in world.engine.all_queued_hints() {
        assert!(world.engine.is_queued(&hint));
    }
}

#[test]
fn tasks_of_several_dags_share_a_concurrency_key() {
    let mut world = World::new();
    let keyed = |id: &str, limit| {
        let mut task = task(id, &[]);
        task.concurrency = vec![ConcurrencyLimit { key: "db".to_owned(), limit }];
        task
    };
    world.publish(spec("d", vec![keyed("a", 2), keyed("b", 2)]));
    world.publish(spec("e", vec![keyed("a", 2), task("free", &[])]));
    world.trigger("d", "r");
    world.trigger("e", "r");
    assert_eq!(world.ti_in("e", "r", "a").state, TaskState::Scheduled);
    assert_eq!(world.ti_in("e", "r", "free").state, TaskState::Queued);
    let why = world.engine.explain(&"e".into(), &"r".into(), &"a".into(), UNMAPPED, world.now).unwrap();
    assert!(matches!(&why[0], BlockReason::Concurrency { key, active: 2, limit: 2 } if key == "db"), "{why:?}");
    world.succeed("a");
    assert_eq!(world.ti_in("e", "r", "a").state, TaskState::Queued);
    assert_eq!(world.drain(), 3);
}

#[test]
fn a_dag_can_cap_its_tasks_over_all_runs() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[]), task("b", &[])]);
    dag.task_limit = Some(3);
    world.publish(dag);
    world.trigger("d", "r");
    world.trigger("d", "s");
    assert_eq!(world.engine.counts().executing, 3);
    let why = world.engine.explain(&"d".into(), &"s".into(), &"b".into(), UNMAPPED, world.now).unwrap();
    assert!(matches!(why[0], BlockReason::DagTaskLimit { active: 3, limit: 3 }), "{why:?}");
    assert_eq!(world.drain(), 4);
}

/// Sets the rate of the default pool.
fn rate(rate: Option<RateLimit>) -> Event {
    let pool =
        Pool { name: DEFAULT_POOL.into(), slots: 128, description: String::new(), include_deferred: false, rate };
    Event::SetPool(pool)
}

#[test]
fn a_pool_goes_on_after_its_rate_was_lowered() {
    let mut world = World::new();
    world.step(rate(Some(RateLimit { starts: 3, per_secs: 60 })));
    world.publish(spec("d", vec![task("a", &[])]));
    for run in ["r1", "r2", "r3"] {
        world.trigger("d", run);
        assert_eq!(world.drain(), 1);
        world.pass(10);
    }
    // Three starts count, and one is allowed: when the first counts no more, two are left.
    world.step(rate(Some(RateLimit { starts: 1, per_secs: 60 })));
    world.trigger("d", "r4");
    world.pass(49);
    assert_eq!(world.drain(), 0);
    world.pass(1);
    assert_eq!(world.drain(), 1);
}

#[test]
fn a_pool_starts_no_more_than_its_rate() {
    let mut world = World::new();
    let refused = world.step(rate(Some(RateLimit { starts: 0, per_secs: 1 })));
    assert_eq!(crate::support::refusal(refused), ErrorCode::Invalid);
    world.step(rate(Some(RateLimit { starts: 2, per_secs: 60 })));
    world.start((0..5).map(|n| task(&format!("t{n}"), &[])).collect());
    assert_eq!(world.drain(), 2);
    world.pass(59);
    assert_eq!(world.drain(), 0);
    assert!(matches!(world.why("t4")[0], BlockReason::PoolRate { .. }), "{:?}", world.why("t4"));
    assert_eq!(world.engine.next_wakeup(), Some(world.now + jiff::SignedDuration::from_secs(1)));
    world.pass(1);
    assert_eq!(world.drain(), 2);
    world.step(rate(None));
    assert_eq!(world.drain(), 1);
}
