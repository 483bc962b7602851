//! Clearing and marking.

use tradewind_engine::{ClearRequest, Dispatch, Event, Reply};
use tradewind_types::*;

use crate::support::{World, refusal, spec, task};

fn clear(task_ids: &[&str]) -> ClearRequest {
    ClearRequest {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_ids: task_ids.iter().map(|id| TaskId::from(*id)).collect(),
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        map_indexes: Vec::new(),
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }
}

fn cleared(world: &mut World, request: ClearRequest) -> Vec<String> {
    match world.step(Event::Clear(request)) {
        Reply::Instances(rows) => rows.iter().map(|ti| ti.task_id.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn mark(world: &mut World, task: &str, state: TaskState) -> Reply {
    world.step(Event::MarkTask {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: task.into(),
        map_index: UNMAPPED,
        state,
        by: "ann".to_owned(),
    })
}

fn chain() -> World {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = 1;
    world.start(vec![a, task("b", &["a"]), task("c", &["b"])]);
    world
}

#[test]
fn a_cleared_task_of_a_finished_run_runs_again_with_all_its_retries() {
    let mut world = chain();
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    let mut dry = clear(&["a"]);
    dry.dry_run = true;
    assert_eq!(cleared(&mut world, dry), ["a"]);
    assert_eq!(world.state("a"), TaskState::Success);
    assert_eq!(cleared(&mut world, clear(&["a"])), ["a"]);
    let ti = world.ti("a");
    assert_eq!((ti.state, ti.try_number, ti.max_tries, ti.attempt), (TaskState::Queued, 2, 2, 2));
    assert_eq!(world.rows.tries.len(), 1);
    assert_eq!(world.rows.tries[0].state, TaskState::Success);
    let run = world.engine.run(&"d".into(), &"r".into()).unwrap().row().clone();
    assert_eq!((run.state, run.clear_number), (RunState::Running, 1));
    assert_eq!(world.state("b"), TaskState::Success);
    world.succeed("a");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn clearing_follows_the_graph_and_only_failed() {
    let mut world = chain();
    world.fail("a");
    world.pass(61);
    world.fail("a");
    assert_eq!(world.run_state("d", "r"), RunState::Failed);
    let mut request = clear(&["b"]);
    request.upstream = true;
    request.dry_run = true;
    assert_eq!(cleared(&mut world, request.clone()), ["a", "b"]);
    request.upstream = false;
    request.downstream = true;
    assert_eq!(cleared(&mut world, request), ["b", "c"]);
    let mut failed = clear(&[]);
    failed.only_failed = true;
    assert_eq!(cleared(&mut world, failed), ["a", "b", "c"]);
    assert_eq!(world.drain(), 3);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    assert_eq!(refusal(world.step(Event::Clear(clear(&["nope"])))), ErrorCode::NotFound);
    let mut other = clear(&[]);
    other.run_id = "nope".into();
    assert_eq!(refusal(world.step(Event::Clear(other))), ErrorCode::NotFound);
}

#[test]
fn clearing_what_runs_cancels_it_and_runs_it_again_once_it_stopped() {
    for way in ["report", "heartbeat", "lease"] {
        let mut world = chain();
        let held = world.claim("a");
        let beat = |world: &mut World, holds: Vec<(AttemptKey, LeaseToken)>| match world
            .step(Event::Heartbeat { worker: "w".into(), holds })
        {
            Reply::Heartbeat { cancel } => cancel,
            other => panic!("{other:?}"),
        };
        assert!(beat(&mut world, vec![(held.key, held.token)]).is_empty());
        cleared(&mut world, clear(&["a"]));
        assert_eq!(world.state("a"), TaskState::Restarting);
        assert!(
            world
                .dispatched
                .iter()
                .any(|dispatch| matches!(dispatch, Dispatch::Cancel { token, .. } if *token == held.token))
        );
        let reply = world.step(Event::CheckAttempt { key: held.key, token: held.token });
        assert_eq!(refusal(reply), ErrorCode::StaleAttempt);
        match way {
            "report" => {
                world.report(held, AttemptOutcome::Failed { retry: true, delay: None });
            }
            "heartbeat" => {
                assert_eq!(beat(&mut world, vec![(held.key, held.token)]), [held.token]);
                assert_eq!(world.state("a"), TaskState::Restarting);
                beat(&mut world, vec![]);
            }
            _ => {
                world.pass(10);
                beat(&mut world, vec![(held.key, held.token)]);
                world.pass(5);
            }
        }
        let ti = world.ti("a");
        assert_eq!((ti.state, ti.attempt, ti.worker_losses), (TaskState::Queued, 2, 0), "{way}");
        assert_eq!(world.rows.tries.len(), 1);
        world.drain();
        assert_eq!(world.run_state("d", "r"), RunState::Success);
    }
}

#[test]
fn a_restart_is_not_taken_for_stopped_before_its_worker_knew_it() {
    let mut world = chain();
    let held = world.claim("a");
    cleared(&mut world, clear(&["a"]));
    // This heartbeat may have left the worker before the grant came.
    world.step(Event::Heartbeat { worker: "w".into(), holds: vec![] });
    assert_eq!(world.state("a"), TaskState::Restarting);
    world.step(Event::Heartbeat { worker: "w".into(), holds: vec![(held.key, held.token)] });
    world.step(Event::Heartbeat { worker: "other".into(), holds: vec![] });
    assert_eq!(world.state("a"), TaskState::Restarting);
    world.step(Event::Heartbeat { worker: "w".into(), holds: vec![] });
    assert_eq!(world.state("a"), TaskState::Queued);
}

#[test]
fn clearing_what_is_queued_takes_its_hint_back() {
    let mut world = chain();
    let key = world.ti("a").key();
    cleared(&mut world, clear(&["a"]));
    assert!(
        world.dispatched.iter().any(|dispatch| matches!(dispatch, Dispatch::Forget { key: gone, .. } if *gone == key))
    );
    assert_eq!(world.ti("a").attempt, 2);
    assert_eq!(world.drain(), 3);
}

#[test]
fn a_cleared_task_that_a_branch_skipped_is_skipped_again() {
    let mut world = World::new();
    world.start(vec![task("branch", &[]), task("x", &["branch"]), task("y", &["branch"])]);
    let held = world.claim("branch");
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.skip = vec![("x".into(), UNMAPPED)];
    world.step(Event::Report(report));
    world.succeed("y");
    cleared(&mut world, clear(&["x"]));
    assert_eq!(world.state("x"), TaskState::Skipped);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    // With the branch itself cleared, its next decision counts.
    cleared(&mut world, clear(&["branch", "x", "y"]));
    assert_eq!(world.state("x"), TaskState::NoStatus);
    world.succeed("branch");
    assert_eq!(world.states(&["x", "y"]), [TaskState::Queued; 2]);
}

#[test]
fn marking_success_gives_what_failed_below_another_chance() {
    let mut world = chain();
    world.fail("a");
    world.pass(61);
    world.fail("a");
    let Reply::Instances(changed) = mark(&mut world, "a", TaskState::Success) else { panic!("refused") };
    assert_eq!(changed.len(), 3);
    assert_eq!(world.states(&["a", "b"]), [TaskState::Success, TaskState::Queued]);
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn marking_stops_what_runs_or_waits() {
    let mut world = chain();
    let held = world.claim("a");
    mark(&mut world, "a", TaskState::Success);
    assert_eq!(world.states(&["a", "b"]), [TaskState::Success, TaskState::Queued]);
    assert_eq!(refusal(world.report(held, AttemptOutcome::Success)), ErrorCode::StaleAttempt);
    mark(&mut world, "b", TaskState::Skipped);
    assert_eq!(world.states(&["b", "c"]), [TaskState::Skipped; 2]);
    assert_eq!(refusal(mark(&mut world, "a", TaskState::Queued)), ErrorCode::Invalid);
    assert_eq!(refusal(mark(&mut world, "nope", TaskState::Failed)), ErrorCode::NotFound);
}

#[test]
fn marking_a_run_ends_it_and_what_is_in_it() {
    for (state, expected) in [
        (RunState::Failed, [TaskState::Failed, TaskState::Skipped, TaskState::Skipped]),
        (RunState::Success, [TaskState::Success, TaskState::Skipped, TaskState::Skipped]),
    ] {
        let mut world = chain();
        let held = world.claim("a");
        let event = |state| Event::MarkRun { dag_id: "d".into(), run_id: "r".into(), state, by: "ann".to_owned() };
        assert_eq!(refusal(world.step(event(RunState::Queued))), ErrorCode::Invalid);
        let reply = world.step(event(state));
        assert!(matches!(reply, Reply::Run(run) if run.state == state));
        assert_eq!(world.states(&["a", "b", "c"]), expected);
        assert!(
            world
                .dispatched
                .iter()
                .any(|dispatch| matches!(dispatch, Dispatch::Cancel { token, .. } if *token == held.token))
        );
        assert_eq!(world.drain(), 0);
    }
}

#[test]
fn a_finished_run_is_brought_back_to_be_cleared() {
    let mut world = chain();
    world.drain();
    let run = (**world.engine.run(&"d".into(), &"r".into()).unwrap().row()).clone();
    let view = world.engine.run(&"d".into(), &"r".into()).unwrap();
    let rows: Vec<TaskInstance> = view.task_instances().cloned().collect();
    let version = view.version().clone();
    world.pass(60);
    assert!(world.engine.run(&"d".into(), &"r".into()).is_none());
    assert_eq!(refusal(world.step(Event::Clear(clear(&["b"])))), ErrorCode::NotFound);
    let load = Event::LoadRun { run: run.clone(), task_instances: rows, version };
    assert!(matches!(world.step(load.clone()), Reply::Done));
    assert!(matches!(world.step(load), Reply::Done));
    assert_eq!(cleared(&mut world, clear(&["b"])), ["b"]);
    assert_eq!(world.drain(), 1);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    // Unused it leaves memory again.
    world.pass(60);
    assert!(world.engine.run(&"d".into(), &"r".into()).is_none());
    assert_eq!(world.engine.counts().task_instances, []);
}

#[test]
fn marking_a_run_lets_its_teardown_do_its_work_first() {
    let mut world = World::new();
    let (mut up, mut down) = (task("up", &[]), task("down", &["up", "work"]));
    up.is_setup = true;
    down.is_teardown = true;
    down.trigger_rule = TriggerRule::AllDoneSetupSuccess;
    world.start(vec![up, task("work", &["up"]), down]);
    world.succeed("up");
    world.claim("work");
    let state = RunState::Failed;
    world.step(Event::MarkRun { dag_id: "d".into(), run_id: "r".into(), state, by: "ann".to_owned() });
    assert_eq!(world.states(&["work", "down"]), [TaskState::Failed, TaskState::Queued]);
    assert_eq!(world.run_state("d", "r"), RunState::Running);
    world.succeed("down");
    assert_eq!(world.run_state("d", "r"), RunState::Failed);
}

#[test]
fn clearing_brings_setups_and_teardowns_and_upstream_comes_before_downstream() {
    let mut world = World::new();
    let (mut up, mut down) = (task("up", &["before"]), task("down", &["up", "work"]));
    up.is_setup = true;
    down.is_teardown = true;
    world.start(vec![task("before", &[]), up, task("work", &["up"]), down, task("leaf", &["work"])]);
    world.drain();
    let dry = |request: ClearRequest| ClearRequest { dry_run: true, ..request };
    assert_eq!(cleared(&mut world, dry(clear(&["work"]))), ["up", "work", "down"]);
    assert_eq!(cleared(&mut world, dry(clear(&["up"]))), ["up", "down"]);
    assert_eq!(cleared(&mut world, dry(clear(&["before"]))), ["before"]);
    let mut world = World::new();
    let tasks = [("a", vec![]), ("b", vec!["a"]), ("c", vec!["a"]), ("d", vec!["b", "c"]), ("e", vec!["d"])];
    world.start(tasks.iter().map(|(id, upstream)| task(id, upstream)).collect());
    world.drain();
    let with = |upstream, downstream| ClearRequest { upstream, downstream, ..dry(clear(&["c"])) };
    assert_eq!(cleared(&mut world, with(true, false)), ["a", "c"]);
    assert_eq!(cleared(&mut world, with(false, true)), ["c", "d", "e"]);
    assert_eq!(cleared(&mut world, with(true, true)), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_finished_run_moves_to_the_latest_version_and_keeps_what_it_has() {
    let mut world = chain();
    let latest = |task_ids: &[&str]| ClearRequest { latest_version: true, ..clear(task_ids) };
    world.publish(spec("d", vec![task("a", &[]), task("b", &["a"])]));
    assert_eq!(refusal(world.step(Event::Clear(latest(&["a"])))), ErrorCode::Conflict, "it is not over");
    world.drain();
    // c is gone, d is new and comes first in the file, b has another pool.
    let mut b = task("b", &["a"]);
    b.pool = "other".into();
    world.publish(spec("d", vec![task("d", &["b"]), task("a", &[]), b]));
    let request = ClearRequest { downstream: true, ..latest(&["b"]) };
    assert_eq!(cleared(&mut world, request), ["d", "b"]);
    assert_eq!(world.state("a"), TaskState::Success);
    assert_eq!((world.ti("b").pool.as_str(), world.ti("a").try_number), ("other", 1));
}

#[test]
fn timers_of_tasks_that_the_latest_version_lacks_are_idle() {
    let mut world = chain();
    // Each attempt leaves a timer for its lease, which stays behind that of an attempt that goes on.
    world.trigger("d", "s");
    world.claim_in("d", "s", "a");
    world.pass(1);
    for task in ["a", "b", "c"] {
        world.succeed(task);
    }
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    world.publish(spec("d", vec![task("a", &[])]));
    let request = ClearRequest { latest_version: true, ..clear(&["a"]) };
    assert_eq!(cleared(&mut world, request), ["a"]);
    world.pass(60);
    world.succeed("a");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}
