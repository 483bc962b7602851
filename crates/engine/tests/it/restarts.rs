//! What the simulator found: places at limits, and what a change of leader must not change.

use tradewind_engine::{BackfillAction, BackfillRequest, ClearRequest, Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{World, at, spec, task},
};

fn backfill(world: &mut World, from: &str, to: &str, reprocess: Reprocess) -> u64 {
    let reply = world.step(Event::CreateBackfill(BackfillRequest {
        dag_id: "d".into(),
        from: at(from),
        to: at(to),
        max_active_runs: 2,
        reprocess,
        backwards: false,
        conf: serde_json::Value::Null,
        dates: None,
        dry_run: false,
        by: "ann".to_owned(),
    }));
    match reply {
        Reply::Backfill(backfill, _) => backfill.no,
        other => panic!("{other:?}"),
    }
}

fn daily(start: &str) -> DagSpec {
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() };
    dag.start_date = Some(at(start));
    dag
}

#[test]
fn runs_that_outlive_their_cancelled_backfill_hold_no_place_of_the_dag_after_a_restart() {
    let mut world = World::new();
    world.publish(daily("2026-02-01T00:00:00Z"));
    let no = backfill(&mut world, "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", Reprocess::None);
    world.step(Event::SetBackfill { no, action: BackfillAction::Cancel, by: "ann".to_owned() });
    let before = world.engine.counts().runs_running;
    reload(&mut world);
    assert_eq!(world.engine.counts().runs_running, before, "2 runs of the backfill go on, none of the DAG's own");
}

#[test]
fn a_scheduled_run_that_a_backfill_repeats_is_still_the_last_scheduled_one_after_a_restart() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::DeltaTrigger { delta: Delta::seconds(3_600), interval: Delta::default() };
    dag.start_date = Some(at("2026-01-10T15:20:00Z"));
    world.publish(dag);
    world.drain();
    world.pass(5);
    let before = world.engine.next_runs(&"d".into(), 1).unwrap();
    backfill(&mut world, "2026-01-10T15:20:00Z", "2026-01-10T15:20:00Z", Reprocess::Completed);
    assert_eq!(world.engine.next_runs(&"d".into(), 1).unwrap(), before);
    reload(&mut world);
    assert_eq!(world.engine.next_runs(&"d".into(), 1).unwrap(), before);
}

#[test]
fn the_deadlines_of_a_cleared_run_count_from_when_it_was_queued_again() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.deadlines = vec![DeadlineSpec {
        name: None,
        reference: DeadlineReference::QueuedAt,
        interval_micros: 60_000_000,
        callback: serde_json::json!({}),
    }];
    world.publish(dag);
    world.trigger("d", "r");
    world.succeed("a");
    world.pass(20);
    world.step(Event::Clear(ClearRequest {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_ids: Vec::new(),
        map_indexes: Vec::new(),
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }));
    world.pass(45);
    assert!(world.rows.callbacks.is_empty(), "65 s after the first time it was queued, 45 s after the second");
    world.pass(16);
    assert_eq!(world.rows.callbacks.len(), 1);
}

#[test]
fn a_new_leader_keeps_to_the_rate_of_a_pool() {
    let mut world = World::new();
    world.step(Event::SetPool(Pool {
        name: "p".into(),
        slots: -1,
        description: String::new(),
        include_deferred: false,
        rate: Some(RateLimit { starts: 1, per_secs: 60 }),
    }));
    let (mut a, mut b) = (task("a", &[]), task("b", &[]));
    (a.pool, b.pool) = ("p".into(), "p".into());
    world.start(vec![a, b]);
    let queued = |world: &World| world.states(&["a", "b"]).iter().filter(|state| **state == TaskState::Queued).count();
    assert_eq!(queued(&world), 1);
    world.pass(10);
    let pools = world.rows.pools.values().flatten().cloned().collect();
    let snapshot = tradewind_engine::Snapshot { pools, ..crate::reload::snapshot(&world) };
    let (engine, effects) = tradewind_engine::Engine::new(Default::default(), snapshot, world.now);
    world.engine = engine;
    world.effects = effects;
    world.commit();
    assert_eq!(queued(&world), 1, "the second may start 60 s after the first");
}

#[test]
fn a_late_answer_to_the_question_of_a_former_leader_does_not_move_the_schedule_back() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::Custom { class: "x.T".to_owned(), data: "{}".to_owned(), periodic: true };
    dag.catchup = true;
    dag.start_date = Some(at("2026-01-10T00:00:00Z"));
    world.publish(dag);
    let info = |text: &str| {
        let at = at(text);
        tradewind_engine::timetable::DagRunInfo {
            logical_date: at,
            interval_start: at,
            interval_end: at,
            run_after: at,
        }
    };
    let answer =
        |question, text: &str| Event::TimetableAnswer { dag_id: "d".into(), question, answer: Ok(Some(info(text))) };
    // The first question is evaluated twice; the second answer is on its way while the leader changes.
    let asked = world.dispatched.iter().find_map(|dispatch| match dispatch {
        tradewind_engine::Dispatch::AskTimetable(question) => Some(question.question),
        _ => None,
    });
    let first = asked.unwrap();
    world.step(answer(first, "2026-01-10T01:00:00Z"));
    world.drain();
    world.pass(60);
    reload(&mut world);
    world.step(answer(first, "2026-01-10T01:00:00Z"));
    let runs = world.rows.runs.values().filter(|run| run.row.logical_date == Some(at("2026-01-10T01:00:00Z"))).count();
    assert_eq!(runs, 1, "one run for each date");
}

#[test]
fn a_place_at_a_limit_is_not_lost_on_one_that_waits_at_another_limit() {
    let mut world = World::new();
    let key = |limit| vec![ConcurrencyLimit { key: "k".to_owned(), limit }];
    let mut x = task("x", &[]);
    x.concurrency = key(1);
    let (mut a, mut b, c) = (task("a", &[]), task("b", &[]), task("c", &[]));
    (a.priority_weight, b.priority_weight) = (9, 5);
    b.concurrency = key(1);
    a.pool_slots = 2;
    let mut dag = spec("d", vec![a, b, c]);
    dag.task_limit = Some(1);
    world.publish(dag);
    world.trigger("d", "r");
    assert_eq!(world.states(&["a", "b", "c"]), [TaskState::Queued, TaskState::Scheduled, TaskState::Scheduled]);
    world.publish(spec("other", vec![x]));
    world.trigger("other", "r");
    // b waits for the key that other/x holds: the DAG's only place is free for c.
    world.succeed("a");
    assert_eq!(world.states(&["b", "c"]), [TaskState::Scheduled, TaskState::Queued]);
}

#[test]
fn a_run_of_a_cancelled_backfill_that_is_cleared_runs_again_at_once() {
    let mut world = World::new();
    world.publish(daily("2026-02-01T00:00:00Z"));
    let no = backfill(&mut world, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Reprocess::None);
    world.step(Event::SetBackfill { no, action: BackfillAction::Cancel, by: "ann".to_owned() });
    world.drain();
    let run_id = world.runs_of("d")[0].0.clone();
    world.step(Event::Clear(ClearRequest {
        dag_id: "d".into(),
        run_id: run_id.as_str().into(),
        task_ids: Vec::new(),
        map_indexes: Vec::new(),
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }));
    assert_eq!(world.run_state("d", &run_id), RunState::Running);
}

#[test]
fn a_past_run_without_the_task_holds_nothing() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.tasks[0].depends_on_past = true;
    dag.tasks[0].start_date = Some(at("2026-01-02T00:00:00Z"));
    world.publish(dag);
    for (run_id, date) in [("1", "2026-01-01T00:00:00Z"), ("2", "2026-01-02T00:00:00Z")] {
        let mut trigger = world.trigger_event("d", run_id);
        trigger.logical_date = Some(at(date));
        world.step(Event::Trigger(trigger));
    }
    assert_eq!(world.ti_in("d", "2", "a").state, TaskState::Queued);
}

#[test]
fn a_run_that_is_loaded_again_stays_in_memory() {
    let mut world = World::new();
    world.start(vec![task("a", &[])]);
    world.drain();
    let view = world.engine.run(&"d".into(), &"r".into()).unwrap();
    let load = Event::LoadRun {
        run: (**view.row()).clone(),
        task_instances: view.task_instances().cloned().collect(),
        version: view.version().clone(),
    };
    world.now += jiff::SignedDuration::from_secs(60);
    world.step(load);
    assert!(world.engine.run(&"d".into(), &"r".into()).is_some());
}
