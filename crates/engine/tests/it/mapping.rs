//! Dynamic task mapping (Airflow `models/taskmap.py`, `trigger_rule_dep.py` for mapped upstreams).

use tradewind_engine::{ClearRequest, Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{World, spec, task},
};

fn over(task_id: &str) -> ExpandArg {
    ExpandArg::XCom { task_id: task_id.into(), key: XCOM_RETURN_KEY.to_owned() }
}

fn literal(length: u64) -> ExpandArg {
    ExpandArg::Literal { length, values: None }
}

fn product(arguments: Vec<ExpandArg>) -> Expand {
    Expand::Product { arguments: arguments.into_iter().map(|argument| ("x".to_owned(), argument)).collect() }
}

fn mapped(id: &str, upstream: &[&str], arguments: Vec<ExpandArg>) -> TaskSpec {
    let mut task = task(id, upstream);
    task.expand = Some(product(arguments));
    task
}

fn states(world: &World, task_id: &str) -> Vec<(i32, TaskState)> {
    let mut found: Vec<_> = world
        .engine
        .run(&"d".into(), &"r".into())
        .unwrap()
        .task_instances()
        .filter(|ti| ti.task_id.as_str() == task_id)
        .map(|ti| (ti.map_index, ti.state))
        .collect();
    found.sort();
    found
}

fn claim(world: &mut World, task_id: &str, map_index: i32) -> crate::support::Held {
    let run = world.engine.run(&"d".into(), &"r".into()).unwrap();
    let wanted = |ti: &&TaskInstance| ti.task_id.as_str() == task_id && ti.map_index == map_index;
    let key = run.task_instances().find(wanted).unwrap().key();
    let token = world.token();
    let answer = world.claim_as("w", Some(key), token);
    assert!(matches!(answer, tradewind_engine::ClaimAnswer::Granted(_)), "{answer:?}");
    crate::support::Held { key, token }
}

/// Ends an instance with a return value of this length.
fn push(world: &mut World, task_id: &str, map_index: i32, length: u32) {
    let held = claim(world, task_id, map_index);
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.xcoms =
        vec![XComValue { key: XCOM_RETURN_KEY.to_owned(), value: 1.into(), object: None, mapped_length: Some(length) }];
    assert!(matches!(world.step(Event::Report(report)), Reply::Done));
}

fn end(world: &mut World, task_id: &str, map_index: i32, outcome: AttemptOutcome) {
    let held = claim(world, task_id, map_index);
    world.report(held, outcome);
}

const FAILED: AttemptOutcome = AttemptOutcome::Failed { retry: false, delay: None };

#[test]
fn literals_multiply_and_the_first_instance_keeps_its_id() {
    let mut world = World::new();
    world.publish(spec("d", vec![mapped("m", &[], vec![literal(2), literal(3)])]));
    world.trigger("d", "r");
    let all = states(&world, "m");
    assert_eq!(all.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(all.iter().all(|(_, state)| *state == TaskState::Queued));
    assert_eq!(world.ti("m").id, TiId::derive(world.ti("m").run_no, &"m".into(), UNMAPPED));
    assert_eq!(world.drain(), 6);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn a_length_comes_from_upstream_and_the_reduction_waits_for_all() {
    let mut world = World::new();
    world.start(vec![task("up", &[]), mapped("m", &["up"], vec![over("up")]), task("sum", &["m"])]);
    assert_eq!(states(&world, "m"), [(-1, TaskState::NoStatus)]);
    assert!(world.why("m").iter().any(|why| matches!(why, BlockReason::NotExpanded { .. })), "{:?}", world.why("m"));
    push(&mut world, "up", -1, 3);
    assert_eq!(states(&world, "m").len(), 3);
    for index in [2, 0] {
        push(&mut world, "m", index, 0);
        assert_eq!(world.state("sum"), TaskState::NoStatus);
    }
    reload(&mut world);
    push(&mut world, "m", 1, 0);
    assert_eq!(world.state("sum"), TaskState::Queued);
    world.succeed("sum");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn one_failed_instance_fails_what_needs_all() {
    let mut world = World::new();
    let mut any = task("any", &["m"]);
    any.trigger_rule = TriggerRule::OneSuccess;
    world.start(vec![mapped("m", &[], vec![literal(2)]), task("all", &["m"]), any]);
    push(&mut world, "m", 0, 0);
    assert_eq!(world.state("any"), TaskState::Queued);
    end(&mut world, "m", 1, FAILED);
    assert_eq!(world.state("all"), TaskState::UpstreamFailed);
}

#[test]
fn nothing_to_map_over_is_skipped_and_so_is_what_follows() {
    let mut world = World::new();
    world.start(vec![task("up", &[]), mapped("m", &["up"], vec![over("up")]), task("after", &["m"])]);
    push(&mut world, "up", -1, 0);
    assert_eq!(states(&world, "m"), [(-1, TaskState::Skipped)]);
    assert_eq!(world.state("after"), TaskState::Skipped);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn an_upstream_that_is_skipped_or_leaves_nothing_settles_the_mapped_task() {
    for (outcome, expected) in
        [(AttemptOutcome::Skipped, TaskState::Skipped), (AttemptOutcome::Success, TaskState::UpstreamFailed)]
    {
        let mut world = World::new();
        let mut m = mapped("m", &["up"], vec![over("up")]);
        m.trigger_rule = TriggerRule::AllDone;
        world.start(vec![task("up", &[]), m]);
        end(&mut world, "up", -1, outcome);
        assert_eq!(states(&world, "m"), [(-1, expected)]);
    }
}

#[test]
fn a_map_that_is_too_long_fails_and_says_why() {
    let mut world = World::new();
    world.start(vec![mapped("m", &[], vec![literal(40), literal(40)])]);
    assert_eq!(states(&world, "m"), [(-1, TaskState::Failed)]);
    let note = world.ti("m").note.unwrap();
    assert!(note.contains("1600") && note.contains("max_map_length is 1024"), "{note}");
}

#[test]
fn mapping_over_a_mapped_task_counts_the_instances_that_left_a_value() {
    let mut world = World::new();
    world.start(vec![mapped("a", &[], vec![literal(3)]), mapped("b", &["a"], vec![over("a")])]);
    push(&mut world, "a", 0, 0);
    end(&mut world, "a", 1, AttemptOutcome::Success);
    assert_eq!(states(&world, "b"), [(-1, TaskState::NoStatus)]);
    push(&mut world, "a", 2, 0);
    assert_eq!(states(&world, "b").len(), 2);
}

fn group(tasks: &[&str], expand: Expand) -> TaskGroupSpec {
    TaskGroupSpec {
        group_id: "g".to_owned(),
        tasks: tasks.iter().map(|task| TaskId::from(*task)).collect(),
        expand: Some(expand),
        ..TaskGroupSpec::default()
    }
}

fn in_group(id: &str, upstream: &[&str]) -> TaskSpec {
    let mut task = task(id, upstream);
    task.mapped_group = Some("g".to_owned());
    task
}

#[test]
fn each_index_of_a_mapped_group_goes_its_own_way() {
    let mut world = World::new();
    let mut dag = spec("d", vec![in_group("g.a", &[]), in_group("g.b", &["g.a"]), task("end", &["g.b"])]);
    dag.task_groups = vec![group(&["g.a", "g.b"], product(vec![literal(3)]))];
    world.publish(dag);
    world.trigger("d", "r");
    assert_eq!(states(&world, "g.a").len(), 3);
    end(&mut world, "g.a", 1, AttemptOutcome::Success);
    assert_eq!(states(&world, "g.b")[1], (1, TaskState::Queued));
    assert_eq!(states(&world, "g.b")[0], (0, TaskState::NoStatus));
    end(&mut world, "g.a", 0, FAILED);
    assert_eq!(states(&world, "g.b")[0], (0, TaskState::UpstreamFailed));
    let held = claim(&mut world, "g.b", 1);
    let Reply::Claims(answers) = world.step(Event::Claim(tradewind_engine::ClaimRequest {
        worker: "w".into(),
        queues: vec![DEFAULT_QUEUE.into()],
        offers: vec![tradewind_engine::ClaimOffer { key: Some(held.key), token: held.token }],
    })) else {
        panic!()
    };
    let tradewind_engine::ClaimAnswer::Granted(grant) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(grant.upstream_map_indexes, [(TaskId::from("g.a"), 1)]);
    assert_eq!(grant.expanded_count, Some(3));
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.state("end"), TaskState::UpstreamFailed);
}

fn clear(world: &mut World, task_ids: &[&str]) {
    let reply = world.step(Event::Clear(ClearRequest {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_ids: task_ids.iter().map(|id| TaskId::from(*id)).collect(),
        map_indexes: Vec::new(),
        downstream: true,
        upstream: false,
        only_failed: false,
        only_running: false,
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }));
    assert!(matches!(reply, Reply::Instances(_)), "{reply:?}");
}

#[test]
fn a_cleared_upstream_can_make_the_map_shorter_or_longer() {
    let mut world = World::new();
    world.start(vec![task("up", &[]), mapped("m", &["up"], vec![over("up")])]);
    push(&mut world, "up", -1, 3);
    world.drain();
    clear(&mut world, &["up"]);
    reload(&mut world);
    push(&mut world, "up", -1, 2);
    assert_eq!(states(&world, "m"), [(0, TaskState::Queued), (1, TaskState::Queued), (2, TaskState::Removed)]);
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    clear(&mut world, &["up"]);
    push(&mut world, "up", -1, 4);
    assert_eq!(states(&world, "m").len(), 4);
    assert_eq!(states(&world, "m")[3], (3, TaskState::Queued));
}

#[test]
fn what_waits_for_removed_instances_is_removed_with_them() {
    let mut world = World::new();
    let mut setup = in_group("g.setup", &["up"]);
    setup.is_setup = true;
    // It waits for its setup, which is neither done nor failed once it is removed.
    let mut work = in_group("g.work", &["g.between", "up"]);
    work.trigger_rule = TriggerRule::AllDone;
    let between = in_group("g.between", &["g.setup"]);
    let mut dag = spec("d", vec![task("up", &[]), setup, between, work]);
    dag.task_groups = vec![group(&["g.setup", "g.between", "g.work"], product(vec![over("up")]))];
    world.publish(dag);
    world.trigger("d", "r");
    push(&mut world, "up", -1, 2);
    world.drain();
    clear(&mut world, &["up"]);
    push(&mut world, "up", -1, 0);
    for task in ["g.setup", "g.work"] {
        assert_eq!(states(&world, task), [(0, TaskState::Removed), (1, TaskState::Removed)]);
    }
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn one_index_can_be_cleared_alone() {
    let mut world = World::new();
    world.start(vec![mapped("m", &[], vec![literal(3)])]);
    world.drain();
    world.step(Event::Clear(ClearRequest {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_ids: vec!["m".into()],
        map_indexes: vec![2],
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }));
    assert_eq!(states(&world, "m")[1], (1, TaskState::Success));
    assert_eq!(states(&world, "m")[2], (2, TaskState::Queued));
}

#[test]
fn limits_of_a_mapped_task_count_its_instances() {
    let mut world = World::new();
    let mut m = mapped("m", &[], vec![literal(4)]);
    m.max_active_tis_per_dagrun = Some(1);
    world.start(vec![m]);
    let queued = |world: &World| states(world, "m").iter().filter(|(_, state)| *state == TaskState::Queued).count();
    assert_eq!(queued(&world), 1);
    assert_eq!(world.drain(), 4);
}
