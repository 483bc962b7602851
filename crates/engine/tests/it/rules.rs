//! Trigger rules: every combination of small upstream sets against an evaluation written from Airflow's table.

use proptest::prelude::*;
use tradewind_engine::rules::{self, SetupCounts, UpstreamCounts, Verdict};
use tradewind_types::{AttemptOutcome, Operator, TaskState, TriggerRule};

use crate::support::{World, spec, task};

const UPSTREAM: [Option<TaskState>; 6] = [
    None,
    Some(TaskState::Success),
    Some(TaskState::Failed),
    Some(TaskState::UpstreamFailed),
    Some(TaskState::Skipped),
    Some(TaskState::Removed),
];

/// The table of the conformance spec, on lists of states.
fn by_table(rule: TriggerRule, states: &[Option<TaskState>], setups: &[bool]) -> Verdict {
    use TaskState::{Failed, Removed, Skipped, Success, UpstreamFailed};
    if states.is_empty() {
        return Verdict::Ready;
    }
    let finished: Vec<TaskState> = states.iter().flatten().copied().collect();
    let any = |wanted: &[TaskState]| finished.iter().any(|state| wanted.contains(state));
    let all_done = finished.len() == states.len();
    let all_in = |wanted: &[TaskState]| states.iter().all(|state| state.is_some_and(|state| wanted.contains(&state)));
    let bad = [Failed, UpstreamFailed];
    let setup_states: Vec<Option<TaskState>> =
        states.iter().zip(setups).filter_map(|(state, setup)| setup.then_some(*state)).collect();
    // Phase 1.
    let become_ = match rule {
        TriggerRule::AllSuccess if any(&bad) => Some(UpstreamFailed),
        TriggerRule::AllSuccess if any(&[Skipped]) => Some(Skipped),
        TriggerRule::AllFailed if any(&[Success, Skipped]) => Some(Skipped),
        TriggerRule::AllSkipped if any(&[Success, Failed, UpstreamFailed]) => Some(Skipped),
        TriggerRule::OneSuccess if all_in(&[Skipped]) => Some(Skipped),
        TriggerRule::OneSuccess if all_done && !any(&[Success]) => Some(UpstreamFailed),
        TriggerRule::OneFailed if all_done && !any(&bad) => Some(Skipped),
        TriggerRule::OneDone if all_done && !any(&[Success, Failed]) => Some(Skipped),
        TriggerRule::NoneFailed if any(&bad) => Some(UpstreamFailed),
        TriggerRule::NoneFailedMinOneSuccess if any(&bad) => Some(UpstreamFailed),
        TriggerRule::NoneFailedMinOneSuccess if all_in(&[Skipped]) => Some(Skipped),
        TriggerRule::NoneFailedMinOneSuccess if all_done && !any(&[Success]) => Some(UpstreamFailed),
        TriggerRule::NoneSkipped if any(&[Skipped]) => Some(Skipped),
        TriggerRule::AllDoneMinOneSuccess if any(&[Skipped]) => Some(Skipped),
        TriggerRule::AllDoneMinOneSuccess if all_done && !any(&[Success]) => Some(UpstreamFailed),
        TriggerRule::AllDoneSetupSuccess if all_done && !setup_states.is_empty() => {
            if setup_states.iter().all(|state| *state == Some(Skipped)) {
                Some(Skipped)
            } else if !setup_states.contains(&Some(Success)) {
                Some(UpstreamFailed)
            } else {
                None
            }
        }
        _ => None,
    };
    if let Some(state) = become_ {
        return Verdict::Become(state);
    }
    // Phase 2.
    let ready = match rule {
        TriggerRule::AllSuccess => all_in(&[Success, Removed]),
        TriggerRule::AllFailed => all_in(&[Failed, UpstreamFailed, Removed]),
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => all_done,
        TriggerRule::AllSkipped => all_in(&[Skipped]),
        TriggerRule::OneSuccess => any(&[Success]),
        TriggerRule::OneFailed => any(&bad),
        TriggerRule::OneDone => any(&[Success, Failed]),
        TriggerRule::NoneFailed => all_in(&[Success, Skipped, Removed]),
        TriggerRule::NoneFailedMinOneSuccess => all_in(&[Success, Skipped, Removed]) && any(&[Success]),
        TriggerRule::NoneSkipped => all_done,
        TriggerRule::AllDoneMinOneSuccess => all_in(&[Success, Failed, UpstreamFailed, Removed]) && any(&[Success]),
        TriggerRule::Always => true,
    };
    if ready { Verdict::Ready } else { Verdict::Wait }
}

#[test]
fn every_rule_fits_the_table_for_up_to_four_upstream_tasks() {
    let mut checked = 0;
    for count in 0..=4u32 {
        for combination in 0..6usize.pow(count) {
            let mut rest = combination;
            let states: Vec<Option<TaskState>> = (0..count)
                .map(|_| {
                    let state = UPSTREAM[rest % 6];
                    rest /= 6;
                    state
                })
                .collect();
            for mask in 0..(1usize << count) {
                let setups: Vec<bool> = (0..count).map(|bit| mask >> bit & 1 == 1).collect();
                for &rule in TriggerRule::ALL {
                    if mask != 0 && rule != TriggerRule::AllDoneSetupSuccess {
                        continue;
                    }
                    let of = |wanted| u32::try_from(states.iter().filter(|s| **s == Some(wanted)).count()).unwrap();
                    let counts = UpstreamCounts {
                        total: count,
                        success: of(TaskState::Success),
                        failed: of(TaskState::Failed),
                        upstream_failed: of(TaskState::UpstreamFailed),
                        skipped: of(TaskState::Skipped),
                        removed: of(TaskState::Removed),
                    };
                    let setup = |wanted: Option<TaskState>| {
                        let matching = states
                            .iter()
                            .zip(&setups)
                            .filter(|(state, setup)| **setup && (wanted.is_none() || **state == wanted));
                        u32::try_from(matching.count()).unwrap()
                    };
                    let verdict = rules::evaluate(rule, &counts, -1, || SetupCounts {
                        total: setup(None),
                        success: setup(Some(TaskState::Success)),
                        skipped: setup(Some(TaskState::Skipped)),
                    });
                    assert_eq!(verdict, by_table(rule, &states, &setups), "{rule} {states:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20_000);
}

#[test]
fn a_mapped_instance_beyond_its_upstream_is_removed() {
    let counts = UpstreamCounts { total: 3, success: 2, removed: 1, ..UpstreamCounts::default() };
    let verdict = |map_index| rules::evaluate(TriggerRule::AllSuccess, &counts, map_index, SetupCounts::default);
    assert_eq!(verdict(2), Verdict::Become(TaskState::Removed));
    assert_eq!(verdict(1), Verdict::Ready);
    assert_eq!(verdict(-1), Verdict::Ready);
}

#[test]
fn a_failed_upstream_fails_what_follows_and_the_run() {
    let mut world = World::new();
    world.start(vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])]);
    world.fail("a");
    assert_eq!(
        world.states(&["a", "b", "c"]),
        [TaskState::Failed, TaskState::UpstreamFailed, TaskState::UpstreamFailed]
    );
    assert_eq!(world.run_state("d", "r"), tradewind_types::RunState::Failed);
}

#[test]
fn one_failed_does_not_wait_for_the_rest() {
    let mut world = World::new();
    let mut alarm = task("alarm", &["a", "b"]);
    alarm.trigger_rule = TriggerRule::OneFailed;
    world.start(vec![task("a", &[]), task("b", &[]), alarm]);
    world.fail("a");
    assert_eq!(world.states(&["b", "alarm"]), [TaskState::Queued; 2]);
}

#[test]
fn a_recovered_branch_makes_the_run_succeed() {
    let mut world = World::new();
    let mut mend = task("mend", &["a"]);
    mend.trigger_rule = TriggerRule::OneFailed;
    world.start(vec![task("a", &[]), mend]);
    world.fail("a");
    world.succeed("mend");
    assert_eq!(world.run_state("d", "r"), tradewind_types::RunState::Success);
}

fn branch(world: &mut World, skip: &[&str]) {
    let held = world.claim("branch");
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.skip = skip.iter().map(|id| ((*id).into(), -1)).collect();
    world.step(tradewind_engine::Event::Report(report));
}

#[test]
fn a_branch_skips_what_it_did_not_choose() {
    let mut world = World::new();
    let mut join = task("join", &["left2", "right"]);
    join.trigger_rule = TriggerRule::NoneFailedMinOneSuccess;
    world.start(vec![
        task("branch", &[]),
        task("left", &["branch"]),
        task("left2", &["left"]),
        task("right", &["branch"]),
        join,
    ]);
    branch(&mut world, &["left"]);
    assert_eq!(
        world.states(&["left", "left2", "right", "join"]),
        [TaskState::Skipped, TaskState::Skipped, TaskState::Queued, TaskState::NoStatus]
    );
    world.succeed("right");
    world.succeed("join");
    assert_eq!(world.run_state("d", "r"), tradewind_types::RunState::Success);
}

#[test]
fn empty_tasks_finish_without_a_worker() {
    let mut world = World::new();
    let mut tasks = vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])];
    tasks[0].operator = Operator::Empty;
    tasks[2].operator = Operator::Empty;
    world.start(tasks);
    assert_eq!(world.states(&["a", "b", "c"]), [TaskState::Success, TaskState::Queued, TaskState::NoStatus]);
    world.succeed("b");
    assert_eq!(world.state("c"), TaskState::Success);
    assert_eq!(world.run_state("d", "r"), tradewind_types::RunState::Success);
}

fn setup_dag() -> Vec<tradewind_types::TaskSpec> {
    let mut setup = task("setup", &[]);
    setup.is_setup = true;
    let mut teardown = task("teardown", &["setup", "work"]);
    teardown.is_teardown = true;
    teardown.trigger_rule = TriggerRule::AllDoneSetupSuccess;
    vec![setup, task("prepare", &["setup"]), task("work", &["prepare"]), teardown]
}

#[test]
fn a_teardown_runs_after_failed_work_and_does_not_save_the_run() {
    let mut world = World::new();
    world.start(setup_dag());
    world.succeed("setup");
    world.fail("prepare");
    assert_eq!(world.states(&["work", "teardown"]), [TaskState::UpstreamFailed, TaskState::Queued]);
    world.succeed("teardown");
    assert_eq!(world.run_state("d", "r"), tradewind_types::RunState::Failed);
}

#[test]
fn a_failed_teardown_does_not_fail_the_run_unless_asked() {
    for (asked, state) in [(false, tradewind_types::RunState::Success), (true, tradewind_types::RunState::Failed)] {
        let mut world = World::new();
        let mut tasks = setup_dag();
        tasks[3].on_failure_fail_dagrun = asked;
        world.start(tasks);
        for id in ["setup", "prepare", "work"] {
            world.succeed(id);
        }
        world.fail("teardown");
        assert_eq!(world.run_state("d", "r"), state);
    }
}

#[test]
fn a_failed_setup_fails_indirect_work_whatever_its_rule_and_the_teardown() {
    let mut world = World::new();
    let mut tasks = setup_dag();
    tasks[2].trigger_rule = TriggerRule::AllDone;
    world.start(tasks);
    world.fail("setup");
    assert_eq!(world.states(&["prepare", "work", "teardown"]), [TaskState::UpstreamFailed; 3]);
}

#[test]
fn a_teardown_waits_for_everything_in_its_scope() {
    let mut world = World::new();
    let mut tasks = setup_dag();
    // Its direct upstream is the setup and a short task; the long one lies between as well.
    tasks[3].upstream = vec!["setup".into(), "work".into()];
    tasks[2].trigger_rule = TriggerRule::OneSuccess;
    tasks[2].upstream = vec!["prepare".into(), "long".into()];
    tasks.insert(2, task("long", &["setup"]));
    world.start(tasks);
    world.succeed("setup");
    world.succeed("prepare");
    world.succeed("work");
    assert_eq!(world.states(&["long", "teardown"]), [TaskState::Queued, TaskState::NoStatus]);
    assert!(!world.why("teardown").is_empty());
    world.succeed("long");
    assert_eq!(world.state("teardown"), TaskState::Queued);
}

#[test]
fn fail_fast_stops_the_rest_and_spares_teardowns() {
    let mut world = World::new();
    let mut tasks = setup_dag();
    tasks.push(task("runs", &["setup"]));
    tasks.push(task("waits", &["runs"]));
    let mut dag = spec("d", tasks);
    dag.fail_fast = true;
    world.publish(dag);
    world.trigger("d", "r");
    world.succeed("setup");
    world.claim("runs");
    world.fail("prepare");
    assert_eq!(
        world.states(&["runs", "waits", "work", "teardown"]),
        [TaskState::Failed, TaskState::Skipped, TaskState::Skipped, TaskState::Queued]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// Random DAGs with random rules and outcomes end, and every task's end follows from its rule.
    #[test]
    fn random_dags_end(
        edges in proptest::collection::vec(any::<u32>(), 1..12),
        rules in proptest::collection::vec(0usize..13, 12),
        outcomes in proptest::collection::vec(0u8..6, 12),
        order in any::<u64>(),
    ) {
        let names: Vec<String> = (0..edges.len()).map(|n| format!("t{n}")).collect();
        let tasks: Vec<_> = edges.iter().enumerate().map(|(n, bits)| {
            let upstream: Vec<&str> = (0..n).filter(|above| bits >> above & 1 == 1).map(|above| names[above].as_str()).collect();
            let mut task = task(&names[n], &upstream);
            task.trigger_rule = TriggerRule::ALL[rules[n]];
            task
        }).collect();
        let mut world = World::new();
        world.start(tasks.clone());
        let mut order = order;
        let mut held = Vec::new();
        loop {
            while let Some(attempt) = world.claim_next() { held.push(attempt); }
            if held.is_empty() { break; }
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let attempt = held.swap_remove(usize::try_from(order >> 33).unwrap() % held.len());
            let task = world.engine.task_instance(attempt.key.ti).unwrap().task_id.clone();
            let n: usize = task.as_str()[1..].parse().unwrap();
            let outcome = match outcomes[n] {
                0 => AttemptOutcome::Failed { retry: true, delay: None },
                1 => AttemptOutcome::Skipped,
                _ => AttemptOutcome::Success,
            };
            world.report(attempt, outcome);
        }
        prop_assert!(world.run_state("d", "r").is_finished());
        for task in &tasks {
            let id = task.task_id.as_str();
            let above: Vec<Option<TaskState>> = task.upstream.iter().map(|up| {
                Some(world.state(up.as_str())).filter(|state| state.is_finished())
            }).collect();
            let verdict = by_table(task.trigger_rule, &above, &vec![false; above.len()]);
            let ti = world.ti(id);
            match verdict {
                Verdict::Ready => prop_assert!(ti.attempt == 1, "{id} {:?}", ti.state),
                // A rule that does not wait may have let the task run, or settled it, before the last upstream ended.
                Verdict::Become(_) => prop_assert!(
                    matches!(ti.state, TaskState::Skipped | TaskState::UpstreamFailed) || ti.attempt == 1,
                    "{id} {:?}", ti.state
                ),
                Verdict::Wait => prop_assert!(ti.attempt == 0, "{id}"),
            }
        }
    }
}
