//! The attempt protocol: what each event does in each state, and what it must not do.

use tradewind_engine::{ClaimAnswer, Dispatch, Event, Reply};
use tradewind_types::*;

use crate::support::{Held, World, refusal, task};

fn one() -> World {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world
}

fn with_retries(retries: u32) -> World {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = retries;
    world.start(vec![a]);
    world
}

#[test]
fn a_queued_instance_is_hinted_claimed_and_reported() {
    let mut world = one();
    let ti = world.ti("a");
    assert_eq!((ti.state, ti.attempt, ti.try_number), (TaskState::Queued, 1, 1));
    assert!(matches!(&world.dispatched[..], [Dispatch::Push(hint)] if hint.key == ti.key()));
    let held = world.claim("a");
    let ti = world.ti("a");
    assert_eq!(ti.state, TaskState::Running);
    assert_eq!(ti.worker, Some(WorkerName::from("w")));
    assert!(matches!(world.report(held, AttemptOutcome::Success), Reply::Done));
    assert_eq!(world.state("a"), TaskState::Success);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    assert!(matches!(world.dispatched.last(), Some(Dispatch::RunFinished { state: RunState::Success, .. })));
}

#[test]
fn one_claim_wins_and_its_repeat_gets_the_same_answer() {
    let mut world = one();
    let key = world.ti("a").key();
    let held = world.claim("a");
    let again = world.claim_as("w", Some(key), held.token);
    let ClaimAnswer::Granted(grant) = again else { panic!("{again:?}") };
    assert_eq!((grant.ti.key(), grant.token), (key, held.token));
    let by_nobody = world.claim_as("w", None, held.token);
    assert!(matches!(by_nobody, ClaimAnswer::Granted(_)));
    for (worker, token) in [("w", world.token()), ("v", world.token()), ("v", held.token)] {
        let answer = world.claim_as(worker, Some(key), token);
        assert!(matches!(answer, ClaimAnswer::Refused(ClaimRefusal::Stale)), "{worker} {answer:?}");
    }
}

#[test]
fn useless_hints_are_refused() {
    let mut world = one();
    let key = world.ti("a").key();
    let token = world.token();
    let other = AttemptKey { attempt: 2, ..key };
    let unknown = AttemptKey { ti: TiId(uuid::Uuid::nil()), attempt: 1 };
    for (key, refusal) in [(other, ClaimRefusal::Stale), (unknown, ClaimRefusal::Unknown)] {
        let answer = world.claim_as("w", Some(key), token);
        assert!(matches!(answer, ClaimAnswer::Refused(why) if why == refusal));
    }
    let reply = world.step(Event::Claim(tradewind_engine::ClaimRequest {
        worker: WorkerName::from("w"),
        queues: vec![QueueName::from("ml")],
        offers: [Some(key), None].map(|key| tradewind_engine::ClaimOffer { key, token }).to_vec(),
    }));
    let Reply::Claims(answers) = reply else { panic!("{reply:?}") };
    assert!(matches!(answers[..], [ClaimAnswer::Refused(ClaimRefusal::WrongQueue), ClaimAnswer::Nothing]));
}

#[test]
fn a_claim_without_hint_takes_the_best_and_takes_its_hint_back() {
    let mut world = World::new();
    let mut best = task("best", &[]);
    best.priority_weight = 5;
    world.start(vec![task("a", &[]), best, task("c", &[])]);
    let key = world.ti("best").key();
    assert_eq!(world.claim_next().unwrap().key, key);
    assert!(
        world.dispatched.iter().any(|dispatch| matches!(dispatch, Dispatch::Forget { key: gone, .. } if *gone == key))
    );
}

#[test]
fn a_late_repeat_of_a_claim_without_hint_is_not_granted_another_attempt() {
    let mut world = World::new();
    world.start(vec![task("a", &[]), task("b", &[])]);
    let held = world.claim_next().unwrap();
    world.report(held, AttemptOutcome::Success);
    let answer = world.claim_as("w", None, held.token);
    assert!(matches!(answer, ClaimAnswer::Refused(ClaimRefusal::Stale)));
    assert!(world.claim_next().is_some());
}

#[test]
fn stale_writes_change_nothing() {
    let mut world = one();
    let held = world.claim("a");
    let wrong_token = Held { token: world.token(), ..held };
    let wrong_attempt = Held { key: AttemptKey { attempt: 2, ..held.key }, ..held };
    for stale in [wrong_token, wrong_attempt] {
        let before = world.ti("a");
        let reply = world.report(stale, AttemptOutcome::Success);
        assert_eq!(refusal(reply), ErrorCode::StaleAttempt);
        let reply = world.step(Event::PushXComs {
            key: stale.key,
            token: stale.token,
            xcoms: vec![XComValue { key: "k".to_owned(), value: 1.into(), object: None, mapped_length: None }],
        });
        assert_eq!(refusal(reply), ErrorCode::StaleAttempt);
        let reply = world.step(Event::CheckAttempt { key: stale.key, token: stale.token });
        assert_eq!(refusal(reply), ErrorCode::StaleAttempt);
        let reply =
            world.step(Event::Heartbeat { worker: WorkerName::from("w"), holds: vec![(stale.key, stale.token)] });
        assert!(matches!(reply, Reply::Heartbeat { cancel } if cancel == [stale.token]));
        assert_eq!(world.ti("a"), before);
    }
    assert!(world.rows.xcoms.is_empty());
    let reply = world.step(Event::CheckAttempt { key: held.key, token: held.token });
    assert!(matches!(reply, Reply::Attempt { .. }));
}

#[test]
fn a_repeated_report_is_done_and_changes_nothing() {
    let mut world = with_retries(1);
    let held = world.claim("a");
    let failed = AttemptOutcome::Failed { retry: true, delay: None };
    assert!(matches!(world.report(held, failed.clone()), Reply::Done));
    let before = world.ti("a");
    assert_eq!(before.state, TaskState::UpForRetry);
    assert!(matches!(world.report(held, failed.clone()), Reply::Done));
    assert!(matches!(world.report(held, AttemptOutcome::Success), Reply::Done));
    assert_eq!(world.ti("a"), before);
    // Also once the next attempt is under way.
    world.pass(61);
    let next = world.claim("a");
    assert!(matches!(world.report(held, failed), Reply::Done));
    assert_eq!(world.ti("a").key(), next.key);
    assert_eq!(world.state("a"), TaskState::Running);
}

#[test]
fn every_state_refuses_the_events_of_others() {
    type Bring = fn(&mut World);
    let states: [(&str, Bring); 5] = [
        ("queued", |_| {}),
        ("up_for_retry", |world| world.fail("a")),
        ("success", |world| world.succeed("a")),
        ("marked", |world| {
            world.claim("a");
            mark(world, "a", TaskState::Failed);
        }),
        ("lost", |world| {
            world.claim("a");
            world.pass(16);
        }),
    ];
    for (name, bring) in states {
        let mut world = with_retries(1);
        let key = world.ti("a").key();
        bring(&mut world);
        let before = world.ti("a");
        let held = Held { key, token: world.token() };
        for outcome in [
            AttemptOutcome::Success,
            AttemptOutcome::Skipped,
            AttemptOutcome::Failed { retry: true, delay: None },
            AttemptOutcome::Reschedule { at: world.now },
            AttemptOutcome::Released,
        ] {
            let reply = world.report(held, outcome);
            assert_eq!(refusal(reply), ErrorCode::StaleAttempt, "{name}");
        }
        let reply = world.step(Event::CheckAttempt { key, token: held.token });
        assert_eq!(refusal(reply), ErrorCode::StaleAttempt, "{name}");
        if name != "queued" {
            let answer = world.claim_as("w", Some(key), held.token);
            assert!(matches!(answer, ClaimAnswer::Refused(ClaimRefusal::Stale)), "{name}");
        }
        assert_eq!(world.ti("a"), before, "{name}");
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

#[test]
fn a_lease_is_renewed_by_heartbeats_and_runs_out_without() {
    let mut world = with_retries(1);
    let held = world.claim("a");
    for _ in 0..5 {
        world.pass(10);
        let reply = world.step(Event::Heartbeat { worker: WorkerName::from("w"), holds: vec![(held.key, held.token)] });
        assert!(matches!(reply, Reply::Heartbeat { cancel } if cancel.is_empty()));
    }
    assert_eq!(world.state("a"), TaskState::Running);
    let expiry = world.engine.next_wakeup().unwrap();
    assert_eq!(expiry, world.now + jiff::SignedDuration::from_secs(15));
    world.pass(14);
    assert_eq!(world.state("a"), TaskState::Running);
    world.pass(1);
    let ti = world.ti("a");
    assert_eq!((ti.state, ti.worker_losses), (TaskState::UpForRetry, 1));
    assert!(ti.note.unwrap().contains("\"w\" was lost"));
    assert_eq!(world.rows.tries.len(), 1);
    // The zombie wakes: nothing it says counts, and it is told to stop.
    assert_eq!(refusal(world.report(held, AttemptOutcome::Success)), ErrorCode::StaleAttempt);
    let reply = world.step(Event::Heartbeat { worker: WorkerName::from("w"), holds: vec![(held.key, held.token)] });
    assert!(matches!(reply, Reply::Heartbeat { cancel } if cancel == [held.token]));
    world.pass(61);
    let ti = world.ti("a");
    assert_eq!((ti.state, ti.attempt, ti.try_number), (TaskState::Queued, 2, 2));
    // A hint of the old attempt is of no use.
    let token = world.token();
    let answer = world.claim_as("w", Some(held.key), token);
    assert!(matches!(answer, ClaimAnswer::Refused(ClaimRefusal::Stale)));
    world.succeed("a");
    assert_eq!(world.ti("a").worker_losses, 0);
}

#[test]
fn a_lost_worker_without_retries_fails_the_task() {
    let mut world = one();
    world.claim("a");
    world.step(Event::WorkerGone { worker: WorkerName::from("other") });
    assert_eq!(world.state("a"), TaskState::Running);
    world.step(Event::WorkerGone { worker: WorkerName::from("w") });
    assert_eq!(world.state("a"), TaskState::Failed);
    assert_eq!(world.run_state("d", "r"), RunState::Failed);
}

#[test]
fn a_poison_task_fails_whatever_its_retries() {
    let mut world = with_retries(10);
    for losses in 1..=3 {
        world.claim("a");
        world.pass(15);
        assert_eq!(world.ti("a").worker_losses, losses);
        if losses < 3 {
            world.pass(61);
        }
    }
    let ti = world.ti("a");
    assert_eq!(ti.state, TaskState::Failed);
    assert!(ti.note.unwrap().contains("3 workers in a row"));
}

#[test]
fn a_released_attempt_comes_back_at_once_as_the_same_try() {
    let mut world = one();
    let held = world.claim("a");
    world.report(held, AttemptOutcome::Released);
    let ti = world.ti("a");
    assert_eq!((ti.state, ti.attempt, ti.try_number), (TaskState::Queued, 2, 1));
    assert!(world.rows.tries.is_empty());
    assert!(matches!(world.dispatched.last(), Some(Dispatch::Push(hint)) if hint.key == ti.key()));
    world.succeed("a");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn a_sensor_is_rescheduled_within_its_try() {
    let mut world = one();
    let started = world.now;
    for poke in 1..=3u32 {
        let held = world.claim("a");
        let due = world.now + jiff::SignedDuration::from_secs(60);
        world.report(held, AttemptOutcome::Reschedule { at: due });
        let ti = world.ti("a");
        assert_eq!(ti.state, TaskState::UpForReschedule);
        assert_eq!((ti.try_number, ti.attempt), (1, poke));
        assert_eq!(ti.first_poke_at, Some(started));
        assert_eq!(world.engine.next_wakeup(), Some(due));
        assert!(matches!(world.why("a")[..], [BlockReason::RescheduledUntil { .. }]));
        world.pass(59);
        assert_eq!(world.state("a"), TaskState::UpForReschedule);
        world.pass(1);
        assert_eq!(world.state("a"), TaskState::Queued);
    }
    world.succeed("a");
    assert_eq!(world.rows.tries.len(), 3);
}

#[test]
fn a_report_carries_xcoms_and_a_new_attempt_clears_them() {
    let mut world = with_retries(1);
    let held = world.claim("a");
    world.step(Event::PushXComs {
        key: held.key,
        token: held.token,
        xcoms: vec![XComValue { key: "k".to_owned(), value: 1.into(), object: None, mapped_length: None }],
    });
    assert_eq!(world.rows.xcoms.len(), 1);
    world.report(held, AttemptOutcome::Failed { retry: true, delay: None });
    world.pass(61);
    let held = world.claim("a");
    assert!(world.rows.xcoms.is_empty());
    assert_eq!(world.rows.xcoms_cleared, [held.key.ti]);
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.xcoms =
        vec![XComValue { key: XCOM_RETURN_KEY.to_owned(), value: 7.into(), object: None, mapped_length: None }];
    world.step(Event::Report(report));
    assert_eq!(world.rows.xcoms.len(), 1);
}

#[test]
fn time_never_goes_back() {
    let mut world = one();
    world.pass(100);
    world.claim("a");
    world.now -= jiff::SignedDuration::from_secs(3_600);
    world.step(Event::Tick);
    let held = world.ti("a").key();
    let token = world.ti("a").token.unwrap();
    world.report(Held { key: held, token }, AttemptOutcome::Success);
    let ti = world.ti("a");
    assert!(ti.end_date >= ti.start_date && ti.start_date >= ti.queued_at);
}
