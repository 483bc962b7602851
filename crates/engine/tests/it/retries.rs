//! Retry delays: golden vectors of semantics E11, and what retrying does to an instance.

use std::time::Duration;

use tradewind_engine::{Event, Reply, retry};
use tradewind_types::*;

use crate::support::{World, at, task};

const CAP: Duration = Duration::from_secs(86_400);

fn delay(first: u64, factor: f64, max: Option<u64>, date: Option<Timestamp>, try_number: u32) -> u64 {
    let spec = RetrySpec {
        retries: 9,
        delay: Duration::from_secs(first),
        exponential_backoff: factor,
        max_delay: max.map(Duration::from_secs),
    };
    retry::retry_delay(&spec, "d", "t", date, try_number, CAP).as_secs()
}

#[test]
fn backoff_is_airflows() {
    let date = Some(at("2026-01-01T00:00:00Z"));
    let doubled: Vec<u64> = (1..=7).map(|n| delay(300, 2.0, None, date, n)).collect();
    assert_eq!(doubled, [389, 1115, 1778, 3593, 4950, 14300, 27829]);
    let tripled: Vec<u64> = (1..=7).map(|n| delay(10, 3.0, None, date, n)).collect();
    assert_eq!(tripled, [19, 35, 158, 323, 1230, 3530, 13339]);
}

#[test]
fn delays_are_bounded() {
    let date = Some(at("2026-01-01T00:00:00Z"));
    assert_eq!(delay(300, 2.0, Some(600), date, 5), 600);
    assert_eq!(delay(300, 2.0, None, date, 40), 86_400);
    assert_eq!(delay(300, 2.0, None, date, u32::MAX), 86_400);
    // Without back-off the upper bound does not count, as in Airflow.
    assert_eq!(delay(300, 1.0, Some(60), date, 5), 300);
    assert_eq!(delay(300, 0.0, None, date, 5), 300);
    // Below a second the least is one.
    assert_eq!(delay(0, 2.0, None, None, 1), 1);
    assert_eq!(delay(1, 2.0, None, None, 1), 1);
}

#[test]
fn retries_are_used_up() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = 2;
    world.start(vec![a, task("b", &["a"])]);
    for try_number in 1..=2 {
        assert_eq!(world.ti("a").try_number, try_number);
        world.fail("a");
        assert_eq!(world.state("a"), TaskState::UpForRetry);
        assert!(matches!(world.why("a")[..], [BlockReason::RetryAt { .. }]));
        assert_eq!(world.run_state("d", "r"), RunState::Running);
        world.pass(60);
        assert_eq!(world.state("a"), TaskState::UpForRetry, "the comparison is strict");
        world.now += jiff::SignedDuration::from_micros(1);
        assert_eq!(world.engine.next_wakeup(), Some(world.now));
        world.step(Event::Tick);
        assert_eq!(world.state("a"), TaskState::Queued);
    }
    world.fail("a");
    assert_eq!(world.states(&["a", "b"]), [TaskState::Failed, TaskState::UpstreamFailed]);
    let tries: Vec<_> = world.rows.tries.iter().map(|t| (t.attempt, t.try_number)).collect();
    assert_eq!(tries, [(1, 1), (2, 2)]);
}

#[test]
fn a_failure_may_forbid_or_delay_the_retry() {
    for (outcome, state, wait) in [
        (AttemptOutcome::Failed { retry: false, delay: None }, TaskState::Failed, 0),
        (AttemptOutcome::Failed { retry: true, delay: Some(Duration::from_secs(5)) }, TaskState::UpForRetry, 5),
    ] {
        let mut world = World::new();
        let mut a = task("a", &[]);
        a.retry.retries = 2;
        world.start(vec![a]);
        let held = world.claim("a");
        assert!(matches!(world.report(held, outcome), Reply::Done));
        assert_eq!(world.state("a"), state);
        if wait > 0 {
            world.pass(wait + 1);
            assert_eq!(world.state("a"), TaskState::Queued);
        }
    }
}

#[test]
fn the_grant_says_whether_a_failure_would_be_retried() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = 1;
    world.start(vec![a]);
    for expected in [true, false] {
        let (key, token) = (world.ti("a").key(), world.token());
        let tradewind_engine::ClaimAnswer::Granted(grant) = world.claim_as("w", Some(key), token) else {
            panic!("not granted")
        };
        assert_eq!(grant.should_retry, expected);
        let held = crate::support::Held { key, token };
        world.report(held, AttemptOutcome::Failed { retry: true, delay: None });
        world.pass(61);
    }
}

#[test]
fn a_sensors_timeout_starts_anew_with_each_retry_unless_asked() {
    for spans in [false, true] {
        let mut world = World::with(tradewind_engine::EngineOptions {
            sensor_timeout_spans_retries: spans,
            ..tradewind_engine::EngineOptions::default()
        });
        let mut a = task("a", &[]);
        a.retry.retries = 1;
        world.start(vec![a]);
        let start = world.now;
        world.finish("a", AttemptOutcome::Reschedule { at: start + jiff::SignedDuration::from_secs(5) });
        world.pass(5);
        world.fail("a");
        world.pass(61);
        assert_eq!(world.ti("a").first_poke_at, spans.then_some(start));
    }
}
