//! Callbacks that workers run, and deadlines.

use serde_json::json;
use tradewind_engine::{ClaimAnswer, Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{Held, World, refusal, spec, task},
};

fn callbacks(world: &World) -> Vec<Callback> {
    let mut found: Vec<Callback> = world.rows.callbacks.values().cloned().collect();
    found.sort_by_key(|callback| (callback.created_at, callback.kind));
    found
}

fn world_with(tasks: Vec<TaskSpec>) -> World {
    let mut world = World::new();
    let mut dag = spec("d", tasks);
    dag.on_success_callback = true;
    dag.on_failure_callback = true;
    world.publish(dag);
    world.trigger("d", "r");
    world
}

/// Claims the callback that is queued.
fn claim(world: &mut World, worker: &str) -> (Callback, Held) {
    let queued = callbacks(world).into_iter().find(|callback| callback.state == CallbackState::Queued).unwrap();
    let token = world.token();
    match world.claim_as(worker, Some(queued.key()), token) {
        ClaimAnswer::Callback(grant) => (grant.callback.clone(), Held { key: grant.callback.key(), token }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_end_of_a_run_is_called_back_with_airflows_reason() {
    let mut world = world_with(vec![task("a", &[])]);
    world.succeed("a");
    let (callback, held) = claim(&mut world, "w");
    assert_eq!((callback.kind, callback.reason.as_deref()), (CallbackKind::DagSuccess, Some("success")));
    assert!(matches!(world.step(Event::CheckAttempt { key: held.key, token: held.token }), Reply::Callback { .. }));
    assert!(matches!(world.report(held, AttemptOutcome::Success), Reply::Done));
    assert_eq!(callbacks(&world)[0].state, CallbackState::Success);
    assert_eq!(refusal(world.report(held, AttemptOutcome::Success)), ErrorCode::StaleAttempt);

    let mut world = world_with(vec![task("a", &[])]);
    world.fail("a");
    let (callback, held) = claim(&mut world, "w");
    assert_eq!((callback.kind, callback.reason.as_deref()), (CallbackKind::DagFailure, Some("task_failure")));
    world.report(held, AttemptOutcome::Failed { retry: true, delay: None });
    assert_eq!(callbacks(&world)[0].state, CallbackState::Failed, "a callback that raised is not repeated");
}

#[test]
fn a_run_that_times_out_is_called_back_and_a_marked_one_is_not() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.on_failure_callback = true;
    dag.dagrun_timeout = Some(std::time::Duration::from_secs(60));
    world.publish(dag);
    world.trigger("d", "r");
    world.pass(61);
    assert_eq!(callbacks(&world)[0].reason.as_deref(), Some("timed_out"));
    world.trigger("d", "s");
    world.step(Event::MarkRun {
        dag_id: "d".into(),
        run_id: "s".into(),
        state: RunState::Failed,
        by: "ann".to_owned(),
    });
    assert_eq!(callbacks(&world).len(), 1);
}

#[test]
fn a_callback_survives_lost_workers_and_a_change_of_leader() {
    let mut world = world_with(vec![task("a", &[])]);
    world.succeed("a");
    let (_, first) = claim(&mut world, "w");
    reload(&mut world);
    world.pass(16);
    assert_eq!(refusal(world.report(first, AttemptOutcome::Success)), ErrorCode::StaleAttempt);
    reload(&mut world);
    let (callback, second) = claim(&mut world, "v");
    assert_eq!(callback.attempt, 2);
    world.pass(10);
    world.step(Event::Heartbeat { worker: "v".into(), holds: vec![(second.key, second.token)] });
    world.pass(10);
    world.step(Event::WorkerGone { worker: "v".into() });
    claim(&mut world, "u");
    world.pass(16);
    let callback = &callbacks(&world)[0];
    assert_eq!(callback.state, CallbackState::Failed);
    assert!(callback.note.as_ref().unwrap().contains("3 workers"), "{callback:?}");
}

#[test]
fn a_task_whose_worker_is_lost_is_called_back() {
    let mut a = task("a", &[]);
    a.retry.retries = 1;
    a.on_failure_callback = true;
    a.on_retry_callback = true;
    let mut world = World::new();
    world.start(vec![a]);
    world.claim("a");
    world.pass(16);
    assert_eq!(world.state("a"), TaskState::UpForRetry);
    world.pass(61);
    world.claim("a");
    world.pass(16);
    assert_eq!(world.state("a"), TaskState::Failed);
    let made: Vec<_> = callbacks(&world).into_iter().map(|callback| (callback.kind, callback.task)).collect();
    assert_eq!(
        made,
        [
            (CallbackKind::TaskRetry, Some(("a".into(), UNMAPPED, 1))),
            (CallbackKind::TaskFailure, Some(("a".into(), UNMAPPED, 2)))
        ]
    );
}

#[test]
fn a_task_whose_process_died_is_called_back_and_one_that_reported_is_not() {
    for (callbacks_due, expected) in [(true, vec![CallbackKind::TaskRetry, CallbackKind::TaskFailure]), (false, vec![])]
    {
        let mut a = task("a", &[]);
        a.retry.retries = 1;
        a.on_failure_callback = true;
        a.on_retry_callback = true;
        let mut world = World::new();
        world.start(vec![a]);
        for state in [TaskState::UpForRetry, TaskState::Failed] {
            let held = world.claim("a");
            let outcome = AttemptOutcome::Failed { retry: true, delay: None };
            let report = AttemptReport { callbacks_due, ..World::report_event(held, outcome) };
            world.step(Event::Report(report.clone()));
            // The answer was lost on its way, and the report comes again.
            world.step(Event::Report(report));
            assert_eq!(world.state("a"), state);
            world.pass(61);
        }
        let made: Vec<_> = callbacks(&world).into_iter().map(|callback| callback.kind).collect();
        assert_eq!(made, expected);
    }
}

#[test]
fn a_missed_deadline_alerts_once() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    let callback = json!({"path": "x.alert"});
    let deadline = |reference, seconds: i64| DeadlineSpec {
        name: None,
        reference,
        interval_micros: seconds * 1_000_000,
        callback: callback.clone(),
    };
    dag.deadlines = vec![
        deadline(DeadlineReference::QueuedAt, 30),
        deadline(DeadlineReference::LogicalDate, 30),
        deadline(DeadlineReference::QueuedAt, 3_600),
        deadline(DeadlineReference::AverageRuntime { max_runs: 2, min_runs: 1 }, 0),
    ];
    world.publish(dag);
    world.trigger("d", "r");
    world.pass(31);
    assert_eq!(callbacks(&world).len(), 1, "the run has no logical date and no run before it");
    reload(&mut world);
    world.pass(31);
    assert_eq!(callbacks(&world).len(), 1);
    world.succeed("a");
    world.pass(4_000);
    assert_eq!(callbacks(&world).len(), 1);
    world.trigger("d", "s");
    world.pass(61);
    assert_eq!(callbacks(&world).len(), 2, "30 s, the average runtime is 62 s");
    world.pass(2);
    assert_eq!(callbacks(&world).len(), 3);
    assert!(callbacks(&world).iter().all(|made| made.spec == callback));
}
