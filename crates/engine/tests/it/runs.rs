//! DAG runs: schedule, catchup, limits, pause, timeouts, ids, past dependence.

use std::time::Duration;

use tradewind_engine::{Event, Reply};
use tradewind_types::*;

use crate::support::{World, at, refusal, spec, task, version};

fn daily(tasks: Vec<TaskSpec>) -> DagSpec {
    let mut dag = spec("d", tasks);
    dag.timetable = Timetable::CronTrigger {
        cron: "@daily".to_owned(),
        timezone: "UTC".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    dag.start_date = Some(at("2026-01-01T00:00:00Z"));
    dag
}

fn ids(world: &World) -> Vec<String> {
    world.runs_of("d").into_iter().map(|(id, _)| id).collect()
}

#[test]
fn without_catchup_only_the_latest_tick_runs() {
    let mut world = World::new();
    world.publish(daily(vec![task("a", &[])]));
    assert_eq!(ids(&world), ["scheduled__2026-01-10T00:00:00+00:00"]);
    assert_eq!(world.engine.next_wakeup(), Some(at("2026-01-11T00:00:00Z")));
    world.drain();
    world.go_to("2026-01-14T07:00:00Z");
    assert_eq!(world.runs_of("d"), [("scheduled__2026-01-14T00:00:00+00:00".to_owned(), RunState::Running)]);
    let next = world.engine.next_runs(&"d".into(), 3).unwrap();
    let next: Vec<_> = next.iter().map(|info| info.run_after).collect();
    assert_eq!(next, [15, 16, 17].map(|day| at(&format!("2026-01-{day}T00:00:00Z"))));
}

#[test]
fn catchup_makes_up_for_every_run_under_max_active_runs() {
    let mut world = World::new();
    let mut dag = daily(vec![task("a", &[])]);
    dag.catchup = true;
    dag.max_active_runs = 3;
    world.publish(dag);
    assert_eq!(ids(&world).len(), 3);
    for _ in 0..20 {
        world.drain();
    }
    let all = world.runs_of("d");
    assert_eq!(all.len(), 10);
    assert_eq!(all[0].0, "scheduled__2026-01-01T00:00:00+00:00");
    assert!(all.iter().all(|(_, state)| *state == RunState::Success));
}

#[test]
fn a_paused_dag_creates_no_runs_and_goes_on_with_the_latest() {
    let mut world = World::new();
    let mut dag = daily(vec![task("a", &[])]);
    dag.is_paused_upon_creation = Some(true);
    world.publish(dag);
    world.go_to("2026-01-13T07:00:00Z");
    assert_eq!(ids(&world).len(), 0);
    assert_eq!(world.engine.next_wakeup(), None);
    let reply = world.trigger("d", "by_hand");
    assert_eq!(reply.state, RunState::Queued);
    world.step(Event::SetPaused { dag_id: "d".into(), paused: false, by: "ann".to_owned() });
    assert_eq!(ids(&world), ["by_hand", "scheduled__2026-01-13T00:00:00+00:00"]);
}

#[test]
fn max_active_runs_queues_what_is_triggered() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.max_active_runs = 1;
    world.publish(dag);
    assert_eq!(world.trigger("d", "s").state, RunState::Running);
    assert_eq!(world.trigger("d", "r").state, RunState::Queued);
    assert!(matches!(world.why("a")[..], [BlockReason::RunQueued { running: 1, limit: 1 }]));
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn a_run_waits_for_its_time() {
    let mut world = World::new();
    world.publish(spec("d", vec![task("a", &[])]));
    let mut trigger = world.trigger_event("d", "r");
    trigger.run_after = Some(at("2026-01-10T16:00:00Z"));
    trigger.logical_date = Some(at("2026-01-10T17:00:00Z"));
    world.step(Event::Trigger(trigger));
    assert_eq!(world.run_state("d", "r"), RunState::Queued);
    let due = at("2026-01-10T17:00:00Z");
    assert_eq!(world.why("a"), [BlockReason::RunNotDue { run_after: due }]);
    assert_eq!(world.engine.next_wakeup(), Some(due));
    world.go_to("2026-01-10T17:00:00Z");
    assert_eq!(world.run_state("d", "r"), RunState::Running);
}

#[test]
fn triggers_are_checked_and_unique() {
    let mut world = World::new();
    world.publish(spec("d", vec![task("a", &[])]));
    let date = Some(at("2026-01-02T00:00:00Z"));
    let mut first = world.trigger_event("d", "r");
    first.logical_date = date;
    assert!(matches!(world.step(Event::Trigger(first)), Reply::Run(_)));
    let same_id = world.trigger_event("d", "r");
    assert_eq!(refusal(world.step(Event::Trigger(same_id))), ErrorCode::AlreadyExists);
    let mut same_date = world.trigger_event("d", "s");
    same_date.logical_date = date;
    assert_eq!(refusal(world.step(Event::Trigger(same_date))), ErrorCode::AlreadyExists);
    let reserved = world.trigger_event("d", "scheduled__2026");
    assert_eq!(refusal(world.step(Event::Trigger(reserved))), ErrorCode::Invalid);
    let mut conf = world.trigger_event("d", "t");
    conf.conf = serde_json::json!([1]);
    assert_eq!(refusal(world.step(Event::Trigger(conf))), ErrorCode::Invalid);
    let unknown = world.trigger_event("nope", "r");
    assert_eq!(refusal(world.step(Event::Trigger(unknown))), ErrorCode::NotFound);
    world.step(Event::DagGone { dag_id: "d".into() });
    let gone = world.trigger_event("d", "u");
    assert_eq!(refusal(world.step(Event::Trigger(gone))), ErrorCode::Conflict);
    // What runs goes on.
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn run_ids_name_type_and_time() {
    let mut world = World::new();
    world.publish(spec("d", vec![task("a", &[])]));
    let id = |world: &mut World, date: Option<&str>, after: Option<&str>| {
        let mut trigger = world.trigger_event("d", "");
        trigger.run_id = None;
        trigger.logical_date = date.map(at);
        trigger.run_after = after.map(at);
        match world.step(Event::Trigger(trigger)) {
            Reply::Run(run) => run.run_id.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(id(&mut world, None, None), "manual__2026-01-10T15:20:00+00:00_x");
    assert_eq!(
        id(&mut world, Some("2026-01-02T00:00:00Z"), Some("2026-01-02T00:00:00.000005Z")),
        "manual__2026-01-02T00:00:00.000005+00:00"
    );
}

#[test]
fn a_manual_run_takes_a_date_from_the_schedule() {
    let mut world = World::new();
    world.publish(daily(vec![task("a", &[])]));
    let mut trigger = world.trigger_event("d", "early");
    trigger.logical_date = Some(at("2026-01-11T00:00:00Z"));
    trigger.run_after = Some(world.now);
    world.step(Event::Trigger(trigger));
    world.drain();
    world.go_to("2026-01-11T01:00:00Z");
    world.drain();
    // Long gone from memory, its date is still taken; the schedule goes on to the next.
    world.go_to("2026-01-11T02:00:00Z");
    assert_eq!(ids(&world).len(), 0);
    world.go_to("2026-01-12T00:00:00Z");
    assert_eq!(ids(&world), ["scheduled__2026-01-12T00:00:00+00:00"]);
}

#[test]
fn a_run_keeps_the_version_that_it_started_with() {
    let mut world = World::new();
    world.start(vec![task("a", &[]), task("b", &["a"])]);
    world.publish(spec("d", vec![task("a", &[]), task("c", &["a"])]));
    assert_eq!(world.engine.dag(&"d".into()).unwrap().row.version_number, 2);
    world.succeed("a");
    assert_eq!(world.state("b"), TaskState::Queued);
    world.succeed("b");
    assert_eq!(world.run_state("d", "r"), RunState::Success);
    world.trigger("d", "s");
    world.claim_in("d", "s", "a");
    assert_eq!(world.ti_in("d", "s", "c").state, TaskState::NoStatus);
    // The same again changes nothing but when it was parsed.
    world.publish(spec("d", vec![task("a", &[]), task("c", &["a"])]));
    assert_eq!(world.engine.dag(&"d".into()).unwrap().row.version_number, 2);
    assert_eq!(world.rows.versions.len(), 2);
}

#[test]
fn dagrun_timeout_fails_the_run_and_skips_the_rest() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[]), task("b", &["a"]), task("c", &[])]);
    dag.dagrun_timeout = Some(Duration::from_secs(10));
    world.publish(dag);
    world.trigger("d", "r");
    world.succeed("c");
    let held = world.claim("a");
    world.pass(10);
    assert_eq!(world.run_state("d", "r"), RunState::Running);
    world.now += jiff::SignedDuration::from_micros(1);
    assert_eq!(world.engine.next_wakeup(), Some(world.now));
    world.step(Event::Tick);
    assert_eq!(world.run_state("d", "r"), RunState::Failed);
    assert_eq!(world.states(&["a", "b", "c"]), [TaskState::Skipped, TaskState::Skipped, TaskState::Success]);
    assert_eq!(refusal(world.report(held, AttemptOutcome::Success)), ErrorCode::StaleAttempt);
}

#[test]
fn failures_in_a_row_pause_the_dag() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.max_consecutive_failed_dag_runs = 2;
    world.publish(dag);
    for (run, fails) in [("r1", true), ("r2", false), ("r3", true), ("r4", true)] {
        assert!(!world.engine.dag(&"d".into()).unwrap().row.is_paused);
        world.trigger("d", run);
        let held = world.claim_in("d", run, "a");
        let outcome = if fails { AttemptOutcome::Failed { retry: true, delay: None } } else { AttemptOutcome::Success };
        world.report(held, outcome);
    }
    let row = world.engine.dag(&"d".into()).unwrap().row.clone();
    assert!(row.is_paused);
    assert_eq!(world.rows.dags["d"], row);
}

#[test]
fn an_empty_dag_succeeds_at_once() {
    let mut world = World::new();
    world.start(vec![]);
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn continuous_runs_follow_each_other() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::Continuous;
    dag.start_date = Some(at("2026-01-01T00:00:00Z"));
    world.publish(dag);
    for count in 1..=3 {
        assert_eq!(ids(&world).len(), count);
        world.now += jiff::SignedDuration::from_secs(1);
        world.drain_one();
    }
}

#[test]
fn once_runs_once() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::Once;
    world.publish(dag);
    world.drain();
    world.pass(100);
    assert_eq!(world.engine.counts().task_instances, []);
    assert_eq!(world.engine.next_runs(&"d".into(), 2).unwrap(), []);
}

fn past(wait_for_downstream: bool) -> DagSpec {
    let mut a = task("a", &[]);
    a.depends_on_past = true;
    a.wait_for_downstream = wait_for_downstream;
    let mut dag = daily(vec![a, task("b", &["a"])]);
    dag.catchup = true;
    dag.start_date = Some(at("2026-01-09T00:00:00Z"));
    dag
}

const FIRST: &str = "scheduled__2026-01-09T00:00:00+00:00";
const SECOND: &str = "scheduled__2026-01-10T00:00:00+00:00";

#[test]
fn depends_on_past_waits_for_the_same_task() {
    let mut world = World::new();
    world.publish(past(false));
    assert_eq!(world.ti_in("d", SECOND, "a").state, TaskState::NoStatus);
    let why = world.engine.explain(&"d".into(), &SECOND.into(), &"a".into(), UNMAPPED, world.now).unwrap();
    assert!(matches!(&why[..], [BlockReason::PreviousRun { run_id, .. }] if run_id.as_str() == FIRST));
    let held = world.claim_in("d", FIRST, "a");
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.ti_in("d", SECOND, "a").state, TaskState::Queued);
}

#[test]
fn a_failed_past_holds_the_next_run_until_it_is_mended() {
    let mut world = World::new();
    world.publish(past(false));
    let held = world.claim_in("d", FIRST, "a");
    world.report(held, AttemptOutcome::Failed { retry: false, delay: None });
    world.pass(1_000);
    // Not deadlocked, and the first run stays in memory for it.
    assert_eq!(world.run_state("d", SECOND), RunState::Running);
    assert_eq!(world.run_state("d", FIRST), RunState::Failed);
    world.step(Event::MarkTask {
        dag_id: "d".into(),
        run_id: FIRST.into(),
        task_id: "a".into(),
        map_index: UNMAPPED,
        state: TaskState::Success,
        by: "ann".to_owned(),
    });
    assert_eq!(world.ti_in("d", SECOND, "a").state, TaskState::Queued);
}

#[test]
fn wait_for_downstream_waits_for_what_follows_too() {
    let mut world = World::new();
    world.publish(past(true));
    let held = world.claim_in("d", FIRST, "a");
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.ti_in("d", SECOND, "a").state, TaskState::NoStatus);
    let held = world.claim_in("d", FIRST, "b");
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.ti_in("d", SECOND, "a").state, TaskState::Queued);
}

#[test]
fn bad_dags_are_refused_at_the_door() {
    let mut world = World::new();
    let reply = world
        .step(Event::DagPublished { version: version(spec("d", vec![task("a", &["a"])])), paused_by_default: false });
    assert_eq!(refusal(reply), ErrorCode::Invalid);
    assert!(world.engine.dag(&"d".into()).is_none());
}

fn question(world: &World) -> tradewind_engine::TimetableQuestion {
    let asked = world.dispatched.iter().rev().find_map(|dispatch| match dispatch {
        tradewind_engine::Dispatch::AskTimetable(question) => Some((**question).clone()),
        _ => None,
    });
    asked.unwrap()
}

#[test]
fn a_custom_timetable_is_asked_for_each_run() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::Custom { class: "x.Tides".to_owned(), data: "{}".to_owned(), periodic: true };
    world.publish(dag);
    let first = question(&world);
    assert_eq!((first.last, first.now), (None, world.now));
    let info = |start: &str, end: &str| tradewind_engine::timetable::DagRunInfo {
        logical_date: at(start),
        interval_start: at(start),
        interval_end: at(end),
        run_after: at(end),
    };
    let answer = |question: &tradewind_engine::TimetableQuestion, answer| Event::TimetableAnswer {
        dag_id: "d".into(),
        question: question.question,
        answer,
    };
    let next = info("2026-01-10T15:00:00Z", "2026-01-10T16:00:00Z");
    world.step(answer(&first, Ok(Some(next))));
    assert!(world.runs_of("d").is_empty());
    world.go_to("2026-01-10T16:00:00Z");
    assert_eq!(world.runs_of("d").len(), 1);
    let second = question(&world);
    assert_eq!(second.last, Some((next.interval_start, next.interval_end)));
    world.step(answer(&first, Ok(Some(next))));
    assert_eq!(world.runs_of("d").len(), 1, "an answer to an old question changes nothing");
    world.step(answer(&second, Err("KeyError: moon".to_owned())));
    assert_eq!(world.rows.dags[&DagId::from("d")].schedule_error.as_deref(), Some("KeyError: moon"));
    world.dispatched.clear();
    world.pass(3_600);
    assert!(world.dispatched.is_empty(), "it is not asked again before its file changes");
}

#[test]
fn a_task_has_no_instance_in_runs_that_its_dates_do_not_cover() {
    let mut world = World::new();
    let (mut late, mut ended) = (task("late", &[]), task("ended", &[]));
    late.start_date = Some(at("2026-01-02T00:00:00Z"));
    ended.end_date = Some(at("2026-01-01T00:00:00Z"));
    world.publish(spec("d", vec![late, ended, task("a", &[]), task("below", &["late"])]));
    let mut run = |date: &str, run_id: &str| {
        let mut trigger = world.trigger_event("d", run_id);
        trigger.logical_date = Some(at(date));
        world.step(Event::Trigger(trigger));
        let reply = world.engine.run(&"d".into(), &run_id.into()).unwrap();
        reply.task_instances().map(|ti| ti.task_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(run("2026-01-01T00:00:00Z", "1"), ["ended", "a", "below"]);
    assert_eq!(run("2026-01-02T00:00:00Z", "2"), ["late", "a", "below"]);
    world.drain();
    assert_eq!(world.run_state("d", "1"), RunState::Failed, "what waits for it is deadlocked, as in Airflow");
    assert_eq!(world.run_state("d", "2"), RunState::Success);
    assert_eq!(world.rows.task_instances.len(), 6);
}
