//! Asset events and the runs that they set off.

use serde_json::json;
use tradewind_engine::{Event, Reply};
use tradewind_types::*;

use crate::{
    reload::reload,
    support::{World, refusal, spec, task},
};

fn key(name: &str) -> AssetKey {
    AssetKey { name: name.to_owned(), uri: format!("s3://{name}") }
}

fn one(name: &str) -> AssetCondition {
    AssetCondition::One { asset: AssetRef::Asset(key(name)) }
}

fn update(name: &str, aliases: &[&str]) -> OutletEvent {
    OutletEvent {
        asset: key(name),
        extra: json!({"rows": 1}),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
    }
}

fn world(condition: AssetCondition) -> World {
    let mut world = World::new();
    let mut reader = spec("reader", vec![task("read", &[])]);
    reader.assets = condition
        .assets()
        .into_iter()
        .filter_map(|asset| match asset {
            AssetRef::Asset(key) => Some(Asset { key: key.clone(), group: "asset".to_owned(), extra: json!({}) }),
            _ => None,
        })
        .collect();
    reader.timetable = Timetable::Assets { condition };
    world.publish(reader);
    world.publish(spec("d", vec![task("a", &[])]));
    world
}

fn write(world: &mut World, run_id: &str, events: Vec<OutletEvent>) {
    world.trigger("d", run_id);
    let held = world.claim_in("d", run_id, "a");
    let mut report = World::report_event(held, AttemptOutcome::Success);
    report.asset_events = events;
    assert!(matches!(world.step(Event::Report(report)), Reply::Done));
}

#[test]
fn all_of_a_condition_must_be_updated_and_every_event_is_consumed() {
    let mut world = world(AssetCondition::All { of: vec![one("x"), one("y")] });
    write(&mut world, "1", vec![update("x", &[])]);
    world.pass(5);
    write(&mut world, "2", vec![update("x", &[]), update("z", &["al"])]);
    assert!(world.runs_of("reader").is_empty());
    reload(&mut world);
    world.pass(5);
    write(&mut world, "3", vec![update("y", &[])]);
    let run = world.engine.runs().find(|run| run.row().dag_id.as_str() == "reader").unwrap().row().clone();
    assert_eq!((run.run_type, run.logical_date, run.run_after), (RunType::AssetTriggered, None, world.now));
    assert!(run.run_id.as_str().starts_with("asset_triggered__2026-01-10T15:20:10+00:00"), "{}", run.run_id);
    assert_eq!(world.rows.consumed_events, [(run.run_no, 1), (run.run_no, 2), (run.run_no, 4)]);
    let sources: Vec<_> = world.rows.asset_events.iter().map(|event| event.source.clone().unwrap().run_id).collect();
    assert_eq!(sources, ["1".into(), "2".into(), "2".into(), "3".into()]);
    write(&mut world, "4", vec![update("y", &[])]);
    assert_eq!(world.runs_of("reader").len(), 1, "the events are used up");
}

#[test]
fn any_of_a_condition_suffices_and_a_paused_dag_hears_nothing() {
    let mut world = world(AssetCondition::Any { of: vec![one("x"), one("y")] });
    world.step(Event::SetPaused { dag_id: "reader".into(), paused: true, by: "ann".to_owned() });
    write(&mut world, "1", vec![update("x", &[])]);
    world.step(Event::SetPaused { dag_id: "reader".into(), paused: false, by: "ann".to_owned() });
    assert!(world.runs_of("reader").is_empty());
    write(&mut world, "2", vec![update("y", &[])]);
    assert_eq!(world.runs_of("reader").len(), 1);
    assert_eq!(world.rows.consumed_events.len(), 2, "the run sees what came while the DAG was paused");
}

#[test]
fn an_alias_stands_for_whatever_its_events_were_attached_to() {
    let alias = AssetCondition::One { asset: AssetRef::Alias { name: "al".to_owned() } };
    let mut world = world(alias);
    write(&mut world, "1", vec![update("x", &[])]);
    assert!(world.runs_of("reader").is_empty());
    write(&mut world, "2", vec![update("x", &["al"])]);
    assert_eq!(world.runs_of("reader").len(), 1);
    assert_eq!(world.rows.asset_aliases, [("al".to_owned(), key("x"))]);
    reload(&mut world);
    write(&mut world, "3", vec![update("x", &[])]);
    assert_eq!(world.runs_of("reader").len(), 2, "the alias was attached to x");
}

#[test]
fn a_person_can_update_an_asset_that_is_known() {
    let mut world = world(one("x"));
    let event = |name| Event::UpdateAsset { asset: key(name), extra: json!({}), by: "ann".to_owned() };
    assert!(matches!(world.step(event("x")), Reply::AssetEvent(1)));
    assert_eq!(world.runs_of("reader").len(), 1);
    assert_eq!(refusal(world.step(event("nowhere"))), ErrorCode::NotFound);
}

#[test]
fn asset_or_time_does_both() {
    let mut world = World::new();
    let mut dag = spec("reader", vec![task("read", &[])]);
    dag.start_date = Some(world.now);
    let hourly = Timetable::CronTrigger {
        cron: "0 * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    dag.timetable = Timetable::AssetOrTime { timetable: Box::new(hourly), condition: one("x") };
    world.publish(dag);
    world.publish(spec("d", vec![task("a", &[])]));
    write(&mut world, "1", vec![update("x", &[])]);
    world.go_to("2026-01-10T16:00:00Z");
    let kinds: Vec<_> =
        world.runs_of("reader").into_iter().map(|(id, _)| id.split("__").next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["asset_triggered", "scheduled"]);
}

#[test]
fn an_asset_that_no_dag_names_has_no_events() {
    let mut world = world(one("x"));
    write(&mut world, "1", vec![update("unnamed", &[])]);
    assert!(world.rows.asset_events.is_empty());
}

#[test]
fn a_failed_task_updates_nothing() {
    let mut world = world(one("x"));
    world.trigger("d", "1");
    let held = world.claim_in("d", "1", "a");
    let mut report = World::report_event(held, AttemptOutcome::Failed { retry: false, delay: None });
    report.asset_events = vec![update("x", &[])];
    world.step(Event::Report(report));
    assert!(world.rows.asset_events.is_empty());
}
