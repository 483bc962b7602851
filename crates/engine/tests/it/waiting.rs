//! Deferral, hosted triggers, people.

use std::time::Duration;

use serde_json::json;
use tradewind_engine::{ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{Held, World, at, refusal, spec, task},
};

fn deferred(trigger: Trigger, timeout: Option<u64>) -> AttemptOutcome {
    AttemptOutcome::Deferred {
        trigger,
        timeout: timeout.map(Duration::from_secs),
        next_method: "go_on".to_owned(),
        next_kwargs: json!({"a": 1}),
    }
}

fn hosted() -> Trigger {
    Trigger::Hosted { class: "x.Trigger".to_owned(), kwargs: json!({}) }
}

/// A trigger host takes the trigger of task `a`.
fn host(world: &mut World, worker: &str) -> Held {
    let key = world.ti("a").key();
    let token = world.token();
    match take(world, worker, key, token) {
        ClaimAnswer::Granted(grant) => assert_eq!(grant.ti.state, TaskState::Deferred),
        other => panic!("{other:?}"),
    }
    Held { key, token }
}

fn take(world: &mut World, worker: &str, key: AttemptKey, token: LeaseToken) -> ClaimAnswer {
    let reply = world.step(Event::Claim(ClaimRequest {
        worker: worker.into(),
        queues: vec!["default.triggers".into()],
        offers: vec![ClaimOffer { key: Some(key), token }],
    }));
    match reply {
        Reply::Claims(mut answers) => answers.remove(0),
        other => panic!("{other:?}"),
    }
}

fn resume_of(world: &World) -> Resume {
    world.ti("a").deferral.unwrap().resume.unwrap()
}

#[test]
fn a_moment_is_waited_for_without_a_slot_and_the_try_goes_on() {
    let mut world = World::new();
    world.pool(DEFAULT_POOL, 1);
    world.start(vec![task("a", &[]), task("b", &[])]);
    let moment = world.now + jiff::SignedDuration::from_secs(60);
    world.finish("a", deferred(Trigger::At { at: moment, event: json!("now"), end: None }, None));
    assert_eq!(world.state("a"), TaskState::Deferred);
    assert_eq!(world.state("b"), TaskState::Queued, "the slot is free");
    reload(&mut world);
    world.pool(DEFAULT_POOL, 2);
    world.pass(59);
    assert_eq!(world.state("a"), TaskState::Deferred);
    let before = world.ti("a").start_date;
    world.pass(1);
    assert_eq!(world.state("a"), TaskState::Queued);
    assert_eq!(resume_of(&world), Resume::Event { event: json!("now") });
    let held = world.claim("a");
    assert_eq!((world.ti("a").try_number, world.ti("a").start_date), (1, before));
    world.report(held, AttemptOutcome::Success);
    assert!(world.ti("a").deferral.is_none());
}

#[test]
fn a_moment_can_end_the_task_itself_and_may_be_past() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    let trigger = Trigger::At { at: world.now, event: json!(null), end: Some(TaskState::Success) };
    world.finish("a", deferred(trigger, None));
    assert_eq!(world.state("a"), TaskState::Success);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn a_host_claims_a_trigger_and_its_event_resumes_the_task() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.finish("a", deferred(hosted(), None));
    let key = world.ti("a").key();
    let hinted = |dispatch: &Dispatch| matches!(dispatch, Dispatch::Push(hint) if hint.key == key && hint.queue.as_str() == "default.triggers");
    assert!(world.dispatched.iter().any(hinted));
    assert!(matches!(&world.why("a")[0], BlockReason::TriggerNotHosted { .. }));
    let token = world.token();
    assert!(matches!(world.claim_as("w", Some(key), token), ClaimAnswer::Refused(ClaimRefusal::WrongQueue)));
    let held = host(&mut world, "w");
    assert!(matches!(&world.why("a")[0], BlockReason::Trigger { host: Some(_), .. }));
    let again = world.token();
    assert!(matches!(take(&mut world, "v", key, again), ClaimAnswer::Refused(ClaimRefusal::Stale)));
    assert!(matches!(world.step(Event::CheckAttempt { key, token: held.token }), Reply::Attempt { .. }));
    reload(&mut world);
    let event = AttemptOutcome::TriggerFired { event: json!(7) };
    assert!(matches!(world.report(held, event.clone()), Reply::Done));
    assert!(matches!(world.report(held, event), Reply::Done), "a repeat is answered the same");
    assert_eq!(resume_of(&world), Resume::Event { event: json!(7) });
    assert_eq!(world.ti("a").try_number, 1);
    world.succeed("a");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn the_triggers_of_a_lost_host_move() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.finish("a", deferred(hosted(), None));
    let first = host(&mut world, "w");
    world.pass(10);
    world.step(Event::Heartbeat { worker: "w".into(), holds: vec![(first.key, first.token)] });
    world.pass(10);
    assert!(world.ti("a").token.is_some(), "the lease was renewed");
    world.pass(10);
    let second = host(&mut world, "v");
    assert_eq!(second.key.attempt, first.key.attempt + 1);
    let late = world.report(first, AttemptOutcome::TriggerFired { event: json!(1) });
    assert_eq!(refusal(late), ErrorCode::StaleAttempt);
    assert_eq!(world.state("a"), TaskState::Deferred);
    world.step(Event::WorkerGone { worker: "v".into() });
    let third = host(&mut world, "u");
    world.report(third, AttemptOutcome::TriggerEnded { state: TaskState::Skipped });
    assert_eq!(world.state("a"), TaskState::Skipped);
}

#[test]
fn a_trigger_that_raises_or_takes_too_long_fails_the_wait_not_the_task() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.finish("a", deferred(hosted(), None));
    let held = host(&mut world, "w");
    let error = AttemptOutcome::TriggerFailed { error: "boom".to_owned(), traceback: vec!["line".to_owned()] };
    world.report(held, error);
    assert!(matches!(resume_of(&world), Resume::Failed { error, .. } if error == "boom"));
    world.finish("a", deferred(hosted(), Some(30)));
    let held = host(&mut world, "w");
    for _ in 0..2 {
        world.pass(14);
        world.step(Event::Heartbeat { worker: "w".into(), holds: vec![(held.key, held.token)] });
    }
    world.dispatched.clear();
    world.pass(3);
    assert!(matches!(resume_of(&world), Resume::Failed { error, .. } if error == "Trigger timeout"));
    let cancelled = |dispatch: &Dispatch| matches!(dispatch, Dispatch::Cancel { token, .. } if *token == held.token);
    assert!(world.dispatched.iter().any(cancelled));
}

#[test]
fn clearing_or_marking_what_is_deferred_stops_its_trigger() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.finish("a", deferred(hosted(), None));
    let held = host(&mut world, "w");
    world.dispatched.clear();
    world.step(Event::MarkTask {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: "a".into(),
        map_index: UNMAPPED,
        state: TaskState::Success,
        by: "ann".to_owned(),
    });
    assert_eq!(world.state("a"), TaskState::Success);
    assert!(
        world
            .dispatched
            .iter()
            .any(|dispatch| matches!(dispatch, Dispatch::Cancel { token, .. } if *token == held.token))
    );
}

#[test]
fn a_deferred_task_keeps_its_slot_where_the_pool_says_so() {
    let mut world = World::new();
    world.step(Event::SetPool(Pool {
        name: "p".into(),
        slots: 1,
        description: String::new(),
        include_deferred: true,
        rate: None,
    }));
    let (mut a, mut b) = (task("a", &[]), task("b", &[]));
    a.pool = "p".into();
    a.priority_weight = 2;
    b.pool = "p".into();
    world.start(vec![a, b]);
    world.finish("a", deferred(hosted(), None));
    assert_eq!(world.state("b"), TaskState::Scheduled);
}

#[test]
fn a_task_can_start_in_its_trigger() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.start_trigger = Some(StartTrigger {
        trigger: hosted(),
        timeout_micros: None,
        next_method: "go_on".to_owned(),
        next_kwargs: json!(null),
    });
    world.start(vec![a]);
    assert_eq!((world.state("a"), world.ti("a").try_number), (TaskState::Deferred, 1));
    let held = host(&mut world, "w");
    world.report(held, AttemptOutcome::TriggerFired { event: json!(1) });
    world.succeed("a");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

fn question(defaults: Option<Vec<String>>) -> HumanInput {
    HumanInput {
        ti: TiId::derive(RunNo(0), &"x".into(), 0),
        dag_id: "?".into(),
        run_id: "?".into(),
        task_id: "?".into(),
        map_index: 9,
        subject: "Ship it?".to_owned(),
        body: None,
        options: vec!["Approve".to_owned(), "Reject".to_owned()],
        defaults,
        multiple: false,
        params: json!({"n": {"value": 3}}),
        assignees: Vec::new(),
        created_at: at("2020-01-01T00:00:00Z"),
        responded_at: None,
        responded_by: None,
        chosen_options: None,
        params_input: json!(null),
    }
}

fn ask(world: &mut World, defaults: Option<Vec<String>>, timeout: Option<u64>) {
    let held = world.claim("a");
    let reply = world.step(Event::AskHuman { key: held.key, token: held.token, input: Box::new(question(defaults)) });
    assert!(matches!(reply, Reply::Done), "{reply:?}");
    world.report(held, deferred(Trigger::Input, timeout));
    assert_eq!(world.state("a"), TaskState::AwaitingInput);
}

#[test]
fn a_person_answers_once() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    ask(&mut world, None, None);
    reload(&mut world);
    assert!(matches!(&world.why("a")[0], BlockReason::HumanInput { subject, .. } if subject == "Ship it?"));
    let asked = world.rows.human_inputs.values().next().unwrap().clone();
    assert_eq!((asked.task_id.as_str(), asked.map_index), ("a", UNMAPPED), "ids are the attempt's");
    let input = HumanInput { chosen_options: Some(vec!["Approve".to_owned()]), ..asked };
    let answer = Event::AnswerHuman { input: Box::new(input), event: json!({"chosen_options": ["Approve"]}) };
    assert!(matches!(world.step(answer.clone()), Reply::Done));
    assert_eq!(world.state("a"), TaskState::Queued);
    assert_eq!(refusal(world.step(answer)), ErrorCode::Conflict);
    assert!(world.rows.human_inputs.values().next().unwrap().responded_at.is_some());
}

#[test]
fn nobody_answers() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    ask(&mut world, Some(vec!["Reject".to_owned()]), Some(60));
    world.pass(61);
    let Resume::Event { event } = resume_of(&world) else { panic!() };
    assert_eq!((&event["chosen_options"], &event["timedout"]), (&json!(["Reject"]), &json!(true)));
    assert_eq!(event["params_input"], json!({"n": 3}));
    ask(&mut world, None, Some(60));
    world.pass(61);
    let Resume::Event { event } = resume_of(&world) else { panic!() };
    assert_eq!(event["error_type"], "timeout");
}

#[test]
fn a_released_trigger_is_offered_again() {
    let mut world = World::new();
    world.publish(spec("d", vec![task("a", &[])]));
    world.trigger("d", "r");
    world.finish("a", deferred(hosted(), None));
    let held = host(&mut world, "w");
    world.report(held, AttemptOutcome::Released);
    let next = host(&mut world, "v");
    assert!(next.key.attempt > held.key.attempt);
}

#[test]
fn a_timeout_counts_on_while_the_trigger_moves() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.finish("a", deferred(hosted(), Some(30)));
    host(&mut world, "w");
    world.pass(20);
    host(&mut world, "v");
    world.pass(11);
    assert!(matches!(resume_of(&world), Resume::Failed { error, .. } if error == "Trigger timeout"));
}

#[test]
fn execution_timeout_spans_deferral_where_asked() {
    for (spans, expected) in [(false, TaskState::Deferred), (true, TaskState::Queued)] {
        let mut world = World::with(tradewind_engine::EngineOptions {
            execution_timeout_spans_deferral: spans,
            ..tradewind_engine::EngineOptions::default()
        });
        let mut a = task("a", &[]);
        a.execution_timeout = Some(Duration::from_secs(60));
        world.start(vec![a]);
        let held = world.claim("a");
        world.pass(10);
        world.report(held, deferred(Trigger::At { at: at("2027-01-01T00:00:00Z"), event: json!(1), end: None }, None));
        world.pass(49);
        assert_eq!(world.state("a"), TaskState::Deferred);
        world.pass(2);
        assert_eq!(world.state("a"), expected);
    }
}
