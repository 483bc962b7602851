//! A new leader: an engine made of the rows alone goes on where the old one was.

use std::collections::BTreeMap;

use tradewind_engine::{Dispatch, Engine, EngineOptions, Event, Snapshot};
use tradewind_types::*;

use crate::support::{World, spec, task};

/// What the store would load, of all rows that the world has written.
pub(crate) fn snapshot(world: &World) -> Snapshot {
    let rows = &world.rows;
    let versions: BTreeMap<_, _> =
        rows.versions.iter().map(|version| (version.hash.to_string(), version.clone())).collect();
    Snapshot {
        dags: rows.dags.values().map(|row| (row.clone(), versions[row.version.as_str()].clone())).collect(),
        versions: versions.values().cloned().collect(),
        runs: rows.runs.values().map(|run| run.row.clone()).collect(),
        task_instances: rows.task_instances.values().map(|ti| ti.row.clone()).collect(),
        pools: vec![Pool {
            name: DEFAULT_POOL.into(),
            slots: 128,
            description: String::new(),
            include_deferred: false,
            rate: None,
        }],
        assets: rows.assets.values().cloned().collect(),
        asset_aliases: rows.asset_aliases.clone(),
        backfills: rows.backfills.values().filter(|row| row.completed_at.is_none()).cloned().collect(),
        callbacks: rows
            .callbacks
            .values()
            .filter(|row| !row.state.is_finished())
            .map(|row| (row.clone(), rows.runs[&row.run_no].row.clone()))
            .collect(),
        human_inputs: rows.human_inputs.values().filter(|row| row.responded_at.is_none()).cloned().collect(),
        next_run_no: 1,
        next_event_no: 1 + rows.asset_events.len() as u64,
        next_backfill_no: 1 + rows.backfills.len() as u64,
    }
}

pub(crate) fn reload(world: &mut World) -> Vec<Dispatch> {
    let (engine, effects) = Engine::new(EngineOptions::default(), snapshot(world), world.now);
    world.engine = engine;
    world.dispatched.clear();
    world.effects = effects;
    world.commit();
    world.dispatched.clone()
}

#[test]
fn queued_instances_are_hinted_again_and_running_ones_get_a_fresh_lease() {
    let mut world = World::new();
    let mut b = task("b", &[]);
    b.retry.retries = 1;
    world.start(vec![task("a", &[]), b, task("c", &["b"])]);
    let held = world.claim("b");
    world.pass(10);
    let before: Vec<_> = ["a", "b", "c"].map(|id| world.ti(id)).into();
    let dispatched = reload(&mut world);
    let key = world.ti("a").key();
    assert!(matches!(&dispatched[..], [Dispatch::Push(hint)] if hint.key == key));
    let after: Vec<_> = ["a", "b", "c"].map(|id| world.ti(id)).into();
    assert_eq!(before, after);
    // The old lease would have been over.
    world.pass(10);
    assert_eq!(world.state("b"), TaskState::Running);
    world.report(held, AttemptOutcome::Success);
    assert_eq!(world.state("c"), TaskState::Queued);
    world.drain();
    assert_eq!(world.run_state("d", "r"), RunState::Success);
}

#[test]
fn a_repeated_report_is_still_done_after_a_reload() {
    let mut world = World::new();
    world.start(vec![task("a", &[]), task("b", &["a"])]);
    let held = world.claim("a");
    world.report(held, AttemptOutcome::Success);
    reload(&mut world);
    let reply = world.report(held, AttemptOutcome::Success);
    assert!(matches!(reply, tradewind_engine::Reply::Done), "{reply:?}");
}

#[test]
fn a_lost_worker_stays_lost_after_a_reload() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = 1;
    world.start(vec![a]);
    let held = world.claim("a");
    world.pass(15);
    reload(&mut world);
    let reply = world.report(held, AttemptOutcome::Success);
    assert_eq!(crate::support::refusal(reply), ErrorCode::StaleAttempt);
}

#[test]
fn waiting_times_survive() {
    let mut world = World::new();
    let mut a = task("a", &[]);
    a.retry.retries = 1;
    let mut dag = spec("d", vec![a, task("sensor", &[])]);
    dag.dagrun_timeout = Some(std::time::Duration::from_secs(500));
    world.publish(dag);
    world.trigger("d", "r");
    world.fail("a");
    let due = world.now + jiff::SignedDuration::from_secs(90);
    world.finish("sensor", AttemptOutcome::Reschedule { at: due });
    let wakeup = world.engine.next_wakeup();
    reload(&mut world);
    assert_eq!(world.engine.next_wakeup(), wakeup);
    world.pass(61);
    assert_eq!(world.states(&["a", "sensor"]), [TaskState::Queued, TaskState::UpForReschedule]);
    world.pass(30);
    assert_eq!(world.state("sensor"), TaskState::Queued);
    world.pass(500);
    assert_eq!(world.run_state("d", "r"), RunState::Failed);
}

#[test]
fn the_schedule_goes_on_after_the_last_run() {
    let mut world = World::new();
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::DeltaTrigger { delta: Delta::seconds(3_600), interval: Delta::default() };
    dag.start_date = Some(world.now);
    dag.catchup = true;
    world.publish(dag);
    world.drain();
    let wakeup = world.engine.next_wakeup();
    assert_eq!(wakeup, Some(world.now + jiff::SignedDuration::from_secs(3_600)));
    reload(&mut world);
    assert_eq!(world.engine.next_wakeup(), wakeup);
    world.pass(2 * 3_600);
    assert_eq!(world.engine.counts().runs_running, 2);
}

#[test]
fn decisions_of_branches_survive() {
    let mut world = World::new();
    world.start(vec![task("branch", &[]), task("x", &["branch"]), task("y", &["branch"])]);
    let held = world.claim("branch");
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.skip = vec![("x".into(), UNMAPPED)];
    world.step(Event::Report(report));
    reload(&mut world);
    world.step(Event::Clear(tradewind_engine::ClearRequest {
        dag_id: "d".into(),
        run_id: "r".into(),
        task_ids: vec!["x".into()],
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        map_indexes: Vec::new(),
        dry_run: false,
        latest_version: false,
        by: "ann".to_owned(),
    }));
    assert_eq!(world.state("x"), TaskState::Skipped);
}
