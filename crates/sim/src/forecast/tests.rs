//! Forecasts of small installations.

use std::{sync::Arc, time::Duration};

use tradewind_engine::{BackfillRequest, Effects, Engine, EngineOptions, Event};
use tradewind_types::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn dag(dag_id: &str, timetable: Timetable, tasks: Vec<TaskSpec>) -> Dag {
    let source = DagSource { kind: SourceKind::Yaml, rel_path: format!("{dag_id}.yaml") };
    let spec =
        DagSpec { timetable, start_date: Some(at("2026-01-01T00:00:00Z")), tasks, ..DagSpec::new(dag_id, source) };
    let hash = VersionHash::from(sha256_hex(&serde_json::to_vec(&spec).unwrap()));
    let version = DagVersion { hash, number: 1, bundle: None, created_at: at("2026-01-01T00:00:00Z"), spec };
    Dag { version: Arc::new(version), is_paused: false, last: None }
}

fn task(task_id: &str, upstream: &[&str]) -> TaskSpec {
    let mut task = TaskSpec::new(task_id, Operator::Native(NativeOperator::Noop(NoopOptions::default())));
    task.upstream = upstream.iter().map(|id| TaskId::from(*id)).collect();
    task
}

fn cron(cron: &str, timezone: &str) -> Timetable {
    Timetable::CronTrigger {
        cron: cron.to_owned(),
        timezone: timezone.to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    }
}

fn pool(name: &str, slots: i64) -> Pool {
    Pool { name: name.into(), slots, description: String::new(), include_deferred: false, rate: None }
}

fn setup(dags: Vec<Dag>, slots: i64) -> Setup {
    Setup {
        at: at("2026-03-02T00:00:00Z"),
        dags,
        pools: vec![pool(DEFAULT_POOL, slots)],
        parallelism: 32,
        workers: Vec::new(),
        history: History::new(Duration::from_secs(60)),
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_next_runs_show_a_night_on_which_the_clocks_change() {
    let dag = dag("d", cron("30 2 * * *", "Europe/Berlin"), vec![task("a", &[])]);
    let runs = next_runs(&dag, at("2026-01-01T00:00:00Z"), Some(at("2026-03-27T12:00:00Z")), 3).unwrap();
    let local: Vec<&str> = runs.iter().map(|run| run.local_time.as_str()).collect();
    // On the 29th there is no 02:30: as in Airflow the run comes an hour later by the clock, 24 hours after the last.
    assert_eq!(
        local,
        ["Sat 2026-03-28 02:30:00 +01:00", "Sun 2026-03-29 03:30:00 +02:00", "Mon 2026-03-30 02:30:00 +02:00"]
    );
    assert_eq!(runs.iter().map(|run| run.clock_change).collect::<Vec<_>>(), [0, 3_600, 0]);
    assert_eq!(runs[0].run_id.as_str(), "scheduled__2026-03-28T01:30:00+00:00");
    assert_eq!(runs[0].timezone, "Europe/Berlin");
}

#[test]
fn the_run_ids_and_dates_are_those_that_the_engine_makes() {
    for timetable in [
        cron("*/7 * * * *", "America/New_York"),
        Timetable::CronDataInterval { cron: "0 3 * * *".to_owned(), timezone: "Europe/Berlin".to_owned() },
        Timetable::DeltaTrigger { delta: Delta { micros: 1_234_567, ..Delta::default() }, interval: Delta::default() },
    ] {
        let dag = dag("d", timetable, vec![]);
        let now = at("2026-03-28T00:00:00Z");
        let expected = next_runs(&dag, now, None, 5).unwrap();
        let (mut engine, mut effects) = Engine::new(EngineOptions::default(), snapshot(now, &[dag], Vec::new()), now);
        let mut made: Vec<DagRun> = Vec::new();
        while made.len() < 5 {
            made.extend(effects.rows.runs.values().filter(|run| run.is_new).map(|run| run.row.clone()));
            effects = Effects::default();
            let due = engine.next_wakeup().unwrap();
            engine.step(Event::Tick, due, &mut effects);
        }
        for (run, expected) in made.iter().zip(&expected) {
            assert_eq!((&run.run_id, run.run_after), (&expected.run_id, expected.run_after));
            assert_eq!(run.logical_date, Some(expected.logical_date));
            assert_eq!(run.data_interval_start, Some(expected.data_interval_start));
        }
    }
}

#[test]
fn a_schedule_goes_on_after_its_last_run_and_some_are_not_to_be_foreseen() {
    let mut daily = dag("d", cron("0 0 * * *", "UTC"), vec![task("a", &[])]);
    let now = at("2026-03-02T12:00:00Z");
    let made = backfill(&daily, &[], request("2026-03-01", "2026-03-01"), now).unwrap();
    assert_eq!(made.len(), 1);
    daily.last = Some(run_of(&daily, 7, "2026-03-02T00:00:00Z", RunType::Scheduled, RunState::Running));
    let next = next_runs(&daily, now, None, 1).unwrap();
    assert_eq!(next[0].run_after, at("2026-03-03T00:00:00Z"));
    for timetable in [
        Timetable::None,
        Timetable::Custom { class: "x.T".to_owned(), data: "{}".to_owned(), periodic: true },
        Timetable::Assets { condition: AssetCondition::All { of: Vec::new() } },
    ] {
        let dag = dag("d", timetable, vec![]);
        assert_eq!(next_runs(&dag, now, None, 1).unwrap_err().code, ErrorCode::Invalid);
        let refused = backfill(&dag, &[], request("2026-03-01", "2026-03-01"), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Invalid, "{}", refused.message);
    }
}

fn request(from: &str, to: &str) -> BackfillRequest {
    BackfillRequest {
        dag_id: "d".into(),
        from: at(&format!("{from}T00:00:00Z")),
        to: at(&format!("{to}T00:00:00Z")),
        max_active_runs: 1,
        reprocess: Reprocess::Failed,
        backwards: false,
        conf: serde_json::Value::Null,
        dates: None,
        dry_run: true,
        by: "test".to_owned(),
    }
}

fn run_of(dag: &Dag, no: u64, date: &str, run_type: RunType, state: RunState) -> DagRun {
    DagRun {
        run_no: RunNo(no),
        dag_id: dag.version.spec.dag_id.clone(),
        run_id: RunId::from(format!("{run_type}__{date}")),
        run_type,
        state,
        version: dag.version.hash.clone(),
        logical_date: Some(at(date)),
        data_interval_start: Some(at(date)),
        data_interval_end: Some(at(date)),
        run_after: at(date),
        conf: serde_json::json!({}),
        queued_at: at(date),
        start_date: None,
        end_date: None,
        clear_number: 0,
        triggered_by: None,
        note: None,
        backfill: None,
        missed_deadlines: 0,
    }
}

#[test]
fn a_backfill_leaves_alone_what_is_there_and_runs_what_failed_again() {
    let dag = dag("d", cron("0 0 * * *", "UTC"), vec![task("a", &[])]);
    let existing = [
        run_of(&dag, 1, "2026-02-02T00:00:00Z", RunType::Scheduled, RunState::Success),
        run_of(&dag, 2, "2026-02-03T00:00:00Z", RunType::Manual, RunState::Failed),
        run_of(&dag, 3, "2026-02-04T00:00:00Z", RunType::Scheduled, RunState::Running),
    ];
    let now = at("2026-03-02T00:00:00Z");
    let planned = backfill(&dag, &existing, request("2026-02-01", "2026-02-04"), now).unwrap();
    let brief: Vec<_> = planned.iter().map(|run| (run.ordinal, run.planned, run.why.as_deref())).collect();
    assert_eq!(
        brief,
        [
            (1, Planned::Create, None),
            (2, Planned::Skip, Some("already exists")),
            (3, Planned::RunAgain, None),
            (4, Planned::Skip, Some("in flight")),
        ]
    );
    assert_eq!(planned[0].run_id, Some(RunId::from("backfill__2026-02-01T00:00:00+00:00")));
    assert_eq!(planned[2].run_id.as_ref(), Some(&existing[1].run_id));
    let wrong = backfill(&dag, &[], request("2026-02-04", "2026-02-01"), now).unwrap_err();
    assert_eq!(wrong.code, ErrorCode::Invalid);
}

#[test]
fn a_smaller_pool_makes_tasks_wait_and_runs_last_longer() {
    let tasks = || (0..4).map(|n| task(&format!("t{n}"), &[])).collect();
    let dags = || vec![dag("d", cron("0 * * * *", "UTC"), tasks())];
    let wide = forecast(&setup(dags(), 4), 3 * HOUR).unwrap();
    let narrow = forecast(&setup(dags(), 1), 3 * HOUR).unwrap();
    // Runs at 00:00 (within its grace), 01:00 and 02:00; each has four tasks of a minute.
    let (before, after) = (&wide.dags[0], &narrow.dags[0]);
    assert_eq!((before.runs, before.finished, before.failed), (3, 3, 0));
    assert_eq!((after.runs, after.finished, after.failed), (3, 3, 0));
    assert_eq!(before.makespan_max, Some(Duration::from_secs(60)));
    assert_eq!(after.makespan_max, Some(Duration::from_secs(240)));
    assert_eq!(before.waits.p95, Some(Duration::ZERO));
    assert_eq!(after.waits.p95, Some(Duration::from_secs(180)));
    assert_eq!((wide.pools[0].peak_used, narrow.pools[0].peak_used), (4, 1));
    // 12 task minutes in 180, however many at once.
    for forecast in [&wide, &narrow] {
        assert!((forecast.pools[0].mean_used - 12.0 / 180.0).abs() < 1e-6, "{forecast:?}");
    }
    assert_eq!(narrow.waits.started, 12);
}

#[test]
fn past_durations_workers_and_parallelism_count() {
    let dags =
        || vec![dag("d", cron("0 0 * * *", "UTC"), vec![task("a", &[]), task("b", &[]), task("c", &["a", "b"])])];
    let mut known = setup(dags(), 128);
    for seconds in [10, 300, 20] {
        known.history.took(&"d".into(), &"a".into(), Duration::from_secs(seconds));
    }
    assert!(known.history.knows(&"d".into(), &"a".into()) && !known.history.knows(&"d".into(), &"b".into()));
    // a takes 20 s, the median; b and c the default minute.
    let spans = |setup: &Setup| forecast(setup, HOUR).unwrap().dags[0].makespan_max;
    assert_eq!(spans(&known), Some(Duration::from_secs(120)));
    known.parallelism = 1;
    assert_eq!(spans(&known), Some(Duration::from_secs(140)));
    known.parallelism = 32;
    known.workers = vec![Worker { name: "w".into(), queues: vec!["default".into()], slots: 1 }];
    assert_eq!(spans(&known), Some(Duration::from_secs(140)));
    known.workers[0].queues = vec!["other".into()];
    let nobody = forecast(&known, HOUR).unwrap();
    assert_eq!((nobody.dags[0].finished, nobody.not_served), (0, 2));
}

#[test]
fn mapped_deferred_and_asset_triggered_work_is_foreseen() {
    let mut list = task("list", &[]);
    let key = AssetKey { name: "orders".to_owned(), uri: "s3://orders".to_owned() };
    list.outlets = vec![AssetRef::Asset(key.clone())];
    let mut each = task("each", &["list"]);
    let arg = ExpandArg::XCom { task_id: "list".into(), key: XCOM_RETURN_KEY.to_owned() };
    each.expand = Some(Expand::Rows { rows: arg });
    let mut waits = task("waits", &[]);
    waits.start_trigger = Some(StartTrigger {
        trigger: Trigger::Hosted { class: "x.T".to_owned(), kwargs: serde_json::json!({}) },
        timeout_micros: None,
        next_method: "go_on".to_owned(),
        next_kwargs: serde_json::Value::Null,
    });
    let condition = AssetCondition::One { asset: AssetRef::Asset(key) };
    let mut setup = setup(
        vec![
            dag("d", cron("0 0 * * *", "UTC"), vec![list, each]),
            dag("after", Timetable::Assets { condition }, vec![waits]),
            dag("python", Timetable::Custom { class: "x.T".to_owned(), data: "{}".to_owned(), periodic: true }, vec![]),
        ],
        128,
    );
    setup.history.left(&"d".into(), &"list".into(), 5);
    let found = forecast(&setup, HOUR).unwrap();
    let brief: Vec<_> = found.dags.iter().map(|dag| (dag.dag_id.as_str(), dag.finished, dag.waits.started)).collect();
    // The trigger of `waits` takes no slot; what comes after it is no wait for a slot of a new task instance.
    assert_eq!(brief, [("after", 1, 0), ("d", 1, 6)]);
    assert_eq!(found.dags[0].makespan_max, Some(Duration::from_secs(61)));
    assert_eq!(found.not_foreseen, [DagId::from("python")]);
}

#[test]
fn paused_dags_do_nothing_and_the_past_is_not_made_up_for_twice() {
    let mut paused = dag("p", cron("* * * * *", "UTC"), vec![task("a", &[])]);
    paused.is_paused = true;
    let found = forecast(&setup(vec![paused], 1), HOUR).unwrap();
    assert!(found.dags.is_empty(), "{found:?}");
    assert_eq!(found.last_end, None);
}
