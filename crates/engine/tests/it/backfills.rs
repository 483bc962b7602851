//! Backfills.

use tradewind_engine::{BackfillAction, BackfillRequest, Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{World, at, refusal, spec, task},
};

fn daily() -> DagSpec {
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.timetable = Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() };
    dag.start_date = Some(at("2026-01-09T00:00:00Z"));
    dag
}

fn request(from: &str, to: &str) -> BackfillRequest {
    BackfillRequest {
        dag_id: "d".into(),
        from: at(&format!("{from}T00:00:00Z")),
        to: at(&format!("{to}T00:00:00Z")),
        max_active_runs: 2,
        reprocess: Reprocess::None,
        backwards: false,
        conf: serde_json::json!({"x": 1}),
        dates: None,
        dry_run: false,
        by: "ann".to_owned(),
    }
}

fn create(world: &mut World, request: BackfillRequest) -> (Backfill, Vec<BackfillItem>) {
    match world.step(Event::CreateBackfill(request)) {
        Reply::Backfill(backfill, items) => (*backfill, items),
        other => panic!("{other:?}"),
    }
}

fn running(world: &World) -> Vec<String> {
    let all = world.runs_of("d").into_iter();
    all.filter(|(id, state)| id.starts_with("backfill") && *state == RunState::Running).map(|(id, _)| id).collect()
}

#[test]
fn a_backfill_runs_its_dates_under_its_own_limit() {
    let mut world = World::new();
    let mut dag = daily();
    dag.max_active_runs = 1;
    world.publish(dag);
    let (backfill, items) = create(&mut world, request("2026-01-01", "2026-01-04"));
    assert_eq!(items.iter().map(|item| item.ordinal).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(items[0].logical_date, at("2026-01-01T00:00:00Z"));
    assert_eq!(
        running(&world),
        ["backfill__2026-01-02T00:00:00+00:00", "backfill__2026-01-03T00:00:00+00:00"],
        "two at once, beside the DAG's own run"
    );
    reload(&mut world);
    world.drain();
    assert_eq!(world.runs_of("d").iter().filter(|(_, state)| *state == RunState::Success).count(), 5);
    assert!(world.rows.backfills[&backfill.no].completed_at.is_some());
    let run = world.rows.runs.values().find(|run| run.row.backfill.is_some()).unwrap();
    assert_eq!((run.row.run_type, &run.row.conf["x"]), (RunType::Backfill, &1.into()));
}

#[test]
fn dry_runs_change_nothing_and_backwards_turns_the_order() {
    let mut world = World::new();
    world.publish(daily());
    world.drain();
    let before = world.rows.runs.len();
    let mut wish = BackfillRequest { dry_run: true, backwards: true, ..request("2026-01-07", "2026-01-20") };
    let (_, items) = create(&mut world, wish.clone());
    let planned: Vec<_> = items.iter().map(|item| (item.logical_date.to_string(), item.skipped.as_deref())).collect();
    assert_eq!(
        planned,
        [
            ("2026-01-09T00:00:00Z".to_owned(), Some("already exists")),
            ("2026-01-08T00:00:00Z".to_owned(), None),
            ("2026-01-07T00:00:00Z".to_owned(), None)
        ],
        "not beyond now"
    );
    assert_eq!((world.rows.runs.len(), world.rows.backfills.len()), (before, 0));
    wish.dry_run = false;
    wish.max_active_runs = 1;
    create(&mut world, wish);
    assert_eq!(running(&world), ["backfill__2026-01-09T00:00:00+00:00"]);
}

#[test]
fn existing_runs_are_run_again_as_asked() {
    for (end, reprocess, again) in [
        (AttemptOutcome::Success, Reprocess::Failed, false),
        (AttemptOutcome::Failed { retry: false, delay: None }, Reprocess::Failed, true),
        (AttemptOutcome::Success, Reprocess::Completed, true),
    ] {
        let mut world = World::new();
        world.publish(daily());
        let held = world.claim_next().unwrap();
        world.report(held, end);
        let (_, items) = create(&mut world, BackfillRequest { reprocess, ..request("2026-01-09", "2026-01-09") });
        assert_eq!(items[0].run_no.is_some(), again);
        let run = world.rows.runs.values().next().unwrap().row.clone();
        assert_eq!(run.run_type == RunType::Backfill, again, "{reprocess}");
        assert_eq!(run.state == RunState::Running, again);
        world.drain();
        assert!(world.rows.backfills.values().all(|backfill| backfill.completed_at.is_some()));
    }
}

#[test]
fn a_backfill_can_be_paused_and_cancelled() {
    let mut world = World::new();
    world.publish(daily());
    let (backfill, _) = create(&mut world, request("2026-01-01", "2026-01-05"));
    let set = |action| Event::SetBackfill { no: backfill.no, action, by: "ann".to_owned() };
    world.step(set(BackfillAction::Pause));
    world.drain();
    assert!(running(&world).is_empty());
    let waiting = world.runs_of("d").into_iter().find(|(_, state)| *state == RunState::Queued).unwrap().0;
    let why = world.engine.explain(&"d".into(), &waiting.as_str().into(), &"a".into(), UNMAPPED, world.now).unwrap();
    assert!(matches!(why[0], BlockReason::BackfillPaused { no: 1 }), "{why:?}");
    reload(&mut world);
    world.step(set(BackfillAction::Unpause));
    assert_eq!(running(&world).len(), 2);
    let reply = world.step(set(BackfillAction::Cancel));
    assert!(matches!(&reply, Reply::Backfill(row, _) if row.completed_at.is_some()), "{reply:?}");
    assert_eq!(running(&world).len(), 2, "what runs goes on");
    assert_eq!(world.runs_of("d").iter().filter(|(_, state)| *state == RunState::Failed).count(), 1);
    world.drain();
    assert_eq!(refusal(world.step(set(BackfillAction::Pause))), ErrorCode::Conflict);
    create(&mut world, BackfillRequest { reprocess: Reprocess::Failed, ..request("2026-01-01", "2026-01-05") });
}

#[test]
fn what_cannot_be_backfilled_is_refused() {
    let refused = |dag: DagSpec, wish: BackfillRequest| {
        let mut world = World::new();
        world.publish(dag);
        match world.step(Event::CreateBackfill(wish)) {
            Reply::Refused(error) => error.message,
            other => panic!("{other:?}"),
        }
    };
    let once = |change: fn(&mut DagSpec)| {
        let mut dag = daily();
        change(&mut dag);
        dag
    };
    let range = || request("2026-01-01", "2026-01-05");
    let manual = once(|dag| dag.timetable = Timetable::None);
    assert!(refused(manual, range()).contains("no periodic schedule"));
    assert!(refused(daily(), request("2026-01-05", "2026-01-01")).contains("before it starts"));
    assert!(refused(daily(), request("2027-01-05", "2027-01-06")).contains("future"));
    let past = || once(|dag| dag.tasks[0].depends_on_past = true);
    assert!(refused(past(), range()).contains("reprocess"));
    let failed = BackfillRequest { reprocess: Reprocess::Failed, ..range() };
    assert!(refused(past(), BackfillRequest { backwards: true, ..failed }).contains("backwards"));
    let mut world = World::new();
    world.publish(daily());
    create(&mut world, range());
    assert_eq!(refusal(world.step(Event::CreateBackfill(range()))), ErrorCode::Conflict, "two at once");
}

#[test]
fn the_first_run_of_a_backfill_depends_on_no_past_and_the_next_on_it() {
    let mut world = World::new();
    let mut dag = daily();
    dag.tasks[0].depends_on_past = true;
    dag.timetable = Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() };
    dag.is_paused_upon_creation = None;
    world.publish(dag);
    world.drain();
    create(&mut world, BackfillRequest { reprocess: Reprocess::Failed, ..request("2026-01-05", "2026-01-06") });
    let first = "backfill__2026-01-06T00:00:00+00:00";
    let second = "backfill__2026-01-07T00:00:00+00:00";
    assert_eq!(world.ti_in("d", first, "a").state, TaskState::Queued);
    assert_eq!(world.ti_in("d", second, "a").state, TaskState::NoStatus);
    world.drain_one();
    assert_eq!(world.ti_in("d", second, "a").state, TaskState::Queued);
}

#[test]
fn a_backfill_runs_tasks_whose_dates_its_run_did_not_cover() {
    let mut world = World::new();
    let mut dag = daily();
    dag.tasks.push(task("late", &[]));
    dag.tasks[1].start_date = Some(at("2026-02-01T00:00:00Z"));
    world.publish(dag);
    world.drain();
    let run_id = world.runs_of("d")[0].0.clone();
    assert_eq!(world.rows.task_instances.len(), 1);
    create(&mut world, BackfillRequest { reprocess: Reprocess::Completed, ..request("2026-01-09", "2026-01-09") });
    assert_eq!(world.ti_in("d", &run_id, "late").state, TaskState::Queued);
    reload(&mut world);
    assert_eq!(world.drain(), 2);
}
