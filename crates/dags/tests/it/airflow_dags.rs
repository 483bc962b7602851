//! DAGs that the installed Airflow serialized (`fixtures/generate.py`).

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tradewind_dags::airflow::{Converted, convert};
use tradewind_types::{Delta, Operator, RunImmediately, SourceKind, TaskId, Timetable, TriggerRule, WeightRule};

pub fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/airflow").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn converted(name: &str) -> Converted {
    convert(&fixture(name), &format!("{name}.py")).unwrap()
}

#[test]
fn every_field_arrives() {
    let Converted { spec: dag, warnings } = converted("every_field");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(dag.display_name.as_deref(), Some("Every field"));
    assert_eq!(dag.description.as_deref(), Some("All that a DAG can say"));
    assert_eq!(dag.doc_md.as_deref(), Some("# Every field"));
    assert_eq!(dag.timezone, "Europe/London");
    assert_eq!(dag.start_date.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(dag.end_date.unwrap().to_string(), "2027-01-01T12:30:00Z");
    assert!(dag.catchup);
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.max_consecutive_failed_dag_runs), (3, 5, 4));
    assert_eq!(dag.dagrun_timeout, Some(Duration::from_secs(7200)));
    assert_eq!(dag.is_paused_upon_creation, Some(false));
    assert_eq!(dag.tags, ["daily", "ml"]);
    assert_eq!(dag.owners, ["ada", "bob"]);
    assert_eq!(dag.params["rows"].value, json!(100));
    assert_eq!(dag.params["rows"].schema, json!({"type": "integer", "minimum": 1}));
    assert_eq!(dag.params["rows"].description.as_deref(), Some("How many rows"));
    assert_eq!(dag.params["options"].value, json!({"deep": {"a": [1, 2]}}));
    assert_eq!(dag.source.kind, SourceKind::Python);
    assert_eq!(dag.source.rel_path, "every_field.py");
    assert!(converted("fail_fast").spec.fail_fast);

    let extract = dag.task("extract").unwrap();
    assert_eq!(
        extract.operator,
        Operator::Python {
            class: "PythonOperator".to_owned(),
            module: "airflow.providers.standard.operators.python".to_owned()
        }
    );
    assert_eq!((extract.pool.as_str(), extract.pool_slots, extract.queue.as_str()), ("etl", 2, "ml"));
    assert_eq!((extract.priority_weight, extract.weight_rule), (7, WeightRule::Upstream));
    assert_eq!(extract.retry.retries, 2);
    assert_eq!(extract.retry.delay, Duration::from_secs(60));
    assert_eq!(extract.retry.exponential_backoff, 2.0);
    assert_eq!(extract.retry.max_delay, Some(Duration::from_secs(600)));
    assert_eq!(extract.execution_timeout, Some(Duration::from_secs(90)));
    assert!(extract.depends_on_past && extract.wait_for_downstream && extract.ignore_first_depends_on_past);
    assert_eq!((extract.max_active_tis_per_dag, extract.max_active_tis_per_dagrun), (Some(2), Some(1)));
    assert_eq!(extract.start_date.unwrap().to_string(), "2026-02-01T00:00:00Z");
    assert_eq!(extract.end_date.unwrap().to_string(), "2026-12-01T00:00:00Z");
    assert!(!extract.do_xcom_push);
    assert_eq!(extract.owner.as_deref(), Some("ada"));

    let load = dag.task("load").unwrap();
    assert_eq!(load.retry.retries, 0, "an explicit 0 wins over default_args");
    assert_eq!(load.trigger_rule, TriggerRule::AllDone);
    assert_eq!(load.upstream, [TaskId::from("extract")]);
    assert_eq!(load.pool.as_str(), "default_pool");
}

#[test]
fn what_is_left_out_has_airflow_s_defaults() {
    let dag = converted("defaults").spec;
    assert_eq!(dag.timetable, Timetable::None);
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.catchup), (16, 16, false));
    assert_eq!(dag.start_date, None);
    let task = &dag.tasks[0];
    assert_eq!(task.operator, Operator::Empty);
    assert_eq!(task.owner.as_deref(), Some("airflow"));
    assert_eq!(task.retry.delay, Duration::from_secs(300));
    assert_eq!(task.trigger_rule, TriggerRule::AllSuccess);
}

#[test]
fn client_defaults_stand_behind_what_a_task_says() {
    let mut serialized = fixture("every_field");
    serialized["client_defaults"] = json!({"tasks": {"queue": "elsewhere", "retry_delay": 42.0, "retries": 9}});
    let dag = convert(&serialized, "x.py").unwrap().spec;
    let load = dag.task("load").unwrap();
    assert_eq!(load.queue.as_str(), "elsewhere");
    assert_eq!(load.retry.retries, 9);
    assert_eq!(load.retry.delay, Duration::from_secs(60), "the task says so itself");
    assert_eq!(dag.task("extract").unwrap().queue.as_str(), "ml");
}

#[test]
fn only_an_empty_task_without_effects_is_passed_over() {
    let dag = converted("empty_kinds").spec;
    for task in &dag.tasks {
        let passed_over = task.operator == Operator::Empty;
        let may = ["plain", "with_failure_callback"].contains(&task.task_id.as_str());
        assert_eq!(passed_over, may, "{}", task.task_id);
    }
}

#[test]
fn task_groups_keep_their_shape() {
    let dag = converted("grouped").spec;
    let ids: Vec<_> = dag.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(ids, ["first", "outer.a", "outer.inner.b", "c", "last"]);
    let groups: Vec<_> = dag
        .task_groups
        .iter()
        .map(|group| (group.group_id.as_str(), group.parent.as_deref(), group.tasks.len(), group.tooltip.as_deref()))
        .collect();
    assert_eq!(
        groups,
        [("bare", None, 1, None), ("outer", None, 1, Some("around")), ("outer.inner", Some("outer"), 1, None)]
    );
    assert_eq!(dag.task("outer.a").unwrap().upstream, [TaskId::from("first")]);
}

#[test]
fn setups_and_teardowns_are_known() {
    let dag = converted("set_up").spec;
    assert!(dag.task("create").unwrap().is_setup);
    let drop = dag.task("drop").unwrap();
    assert!(drop.is_teardown && drop.on_failure_fail_dagrun);
    assert_eq!(drop.trigger_rule, TriggerRule::AllDoneSetupSuccess);
    assert_eq!(drop.upstream, [TaskId::from("create"), TaskId::from("use")]);
}

#[test]
fn timetables_are_read_by_class() {
    let cron = |cron: &str, timezone: &str| Timetable::CronTrigger {
        cron: cron.to_owned(),
        timezone: timezone.to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    let daily_utc = |interval, run_immediately, timezone: &str| Timetable::CronTrigger {
        cron: "0 0 * * *".to_owned(),
        timezone: timezone.to_owned(),
        interval,
        run_immediately,
    };
    let zero = Delta::default();
    for (name, timetable, text) in [
        ("none", Timetable::None, None),
        ("once", Timetable::Once, Some("@once")),
        ("continuous", Timetable::Continuous, Some("@continuous")),
        ("cron", cron("30 6 * * 1-5", "UTC"), Some("30 6 * * 1-5")),
        ("preset", cron("0 0 * * 0", "UTC"), Some("0 0 * * 0")),
        ("delta", Timetable::DeltaTrigger { delta: Delta::seconds(5400), interval: zero }, Some("1:30:00")),
        (
            "relativedelta",
            Timetable::DeltaTrigger { delta: Delta::calendar(1, 2 * 86_400_000_000), interval: zero },
            Some("1 month, 2 days"),
        ),
        (
            "cron_interval",
            Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "America/New_York".to_owned() },
            Some("0 0 * * *"),
        ),
        ("delta_interval", Timetable::DeltaDataInterval { delta: Delta::seconds(86_400) }, Some("1 day, 0:00:00")),
        ("trigger_interval", daily_utc(Delta::seconds(86_400), RunImmediately::Yes, "Asia/Tokyo"), Some("0 0 * * *")),
        ("run_within", daily_utc(zero, RunImmediately::Within(300_000_000), "UTC"), Some("0 0 * * *")),
        ("run_not", daily_utc(zero, RunImmediately::Auto, "UTC"), Some("0 0 * * *")),
        ("fixed_zone", daily_utc(zero, RunImmediately::Auto, "Etc/GMT-1"), Some("0 0 * * *")),
        (
            "many",
            Timetable::MultipleCronTrigger {
                crons: vec!["0 1 * * *".to_owned(), "0 2 * * *".to_owned()],
                timezone: "UTC".to_owned(),
                interval: zero,
                run_immediately: RunImmediately::Auto,
            },
            Some("0 1 * * *, 0 2 * * *"),
        ),
    ] {
        let Converted { spec, warnings } = converted(&format!("schedule_{name}"));
        assert_eq!(spec.timetable, timetable, "{name}");
        assert_eq!(spec.schedule_text.as_deref(), text, "{name}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn what_the_engine_does_not_know_is_left_to_a_guest() {
    let mut serialized = fixture("schedule_cron");
    let timetable = |serialized: &Value| {
        let Converted { spec, warnings } = convert(serialized, "x.py").unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        (spec.timetable, spec.schedule_text)
    };
    serialized["dag"]["timetable"] =
        json!({"__type": "team.timetables.Workdays", "__var": {"hour": 6, "at": [1]}, "periodic": false});
    let custom = |periodic| Timetable::Custom {
        class: "team.timetables.Workdays".to_owned(),
        data: r#"{"at":[1],"hour":6}"#.to_owned(),
        periodic,
    };
    assert_eq!(timetable(&serialized), (custom(false), Some("Workdays".to_owned())));
    serialized["dag"]["timetable"]["periodic"] = json!(true);
    assert_eq!(timetable(&serialized).0, custom(true));
    // Of a later Airflow, say.
    serialized["dag"]["timetable"] = json!({"__type": "airflow.timetables.later.Moon"});
    let Timetable::Custom { class, periodic: true, .. } = timetable(&serialized).0 else { panic!("not custom") };
    assert_eq!(class, "airflow.timetables.later.Moon");
}

#[test]
fn what_does_not_fit_is_refused_with_the_field() {
    let with = |pointer: &str, value: Value| {
        let mut serialized = fixture("every_field");
        *serialized.pointer_mut(pointer).unwrap() = value;
        convert(&serialized, "x.py").unwrap_err().message
    };
    let version = with("/__version", json!(2));
    assert!(version.contains("serialized in version 2, and this version of Tradewind reads 3"), "{version}");
    assert_eq!(
        with("/dag/max_active_runs", json!("x")),
        "DAG \"every_field\": \"max_active_runs\" is \"x\", not a whole number of at least 0"
    );
    let rule = with("/dag/tasks/1/__var/trigger_rule", json!("all_don"));
    assert!(
        rule.contains("the task \"load\": unknown trigger rule \"all_don\"")
            && rule.ends_with("(did you mean \"all_done\"?)"),
        "{rule}"
    );
    let cron = with("/dag/timetable/__var/expression", json!("61 * * * *"));
    assert!(cron.starts_with("DAG \"every_field\": ") && cron.contains("61"), "{cron}");
    let cycle = with("/dag/tasks/1/__var/task_id", json!("extract"));
    assert!(cycle.contains("\"extract\""), "{cycle}");
    for broken in [json!(null), json!({}), json!({"__version": 3}), json!({"__version": 3, "dag": {"dag_id": "x"}})] {
        assert!(convert(&broken, "x.py").is_err(), "{broken}");
    }
}
