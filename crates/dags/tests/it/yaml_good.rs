//! What YAML DAGs mean.

use std::time::Duration;

use serde_json::json;
use tradewind_dags::yaml::{YamlSettings, is_dag_yaml, parse_yaml};
use tradewind_types::{
    DagSpec, Delta, NativeOperator, Operator, RunImmediately, SensorMode, SourceKind, TaskSpec, Timetable, TriggerRule,
    WeightRule,
};

fn parse(text: &str) -> Vec<DagSpec> {
    let file = parse_yaml("a/b.yaml", text, &YamlSettings::default());
    assert!(file.problems.is_empty(), "{:#?}", file.problems);
    file.dags
}

pub fn one(text: &str) -> DagSpec {
    let mut dags = parse(text);
    assert_eq!(dags.len(), 1);
    dags.remove(0)
}

fn with_task(task: &str) -> TaskSpec {
    one(&format!("dag_id: d\ntasks:\n  - id: t\n{task}")).tasks.remove(0)
}

fn with_schedule(schedule: &str) -> DagSpec {
    one(&format!(
        "dag_id: d\ntimezone: Europe/London\nstart_date: 2026-01-01\n{schedule}\ntasks: {{t: {{operator: empty}}}}\n"
    ))
}

#[test]
fn the_smallest_dag_has_airflow_s_defaults() {
    let dag = one("dag_id: small\ntasks:\n  - id: only\n    operator: empty\n");
    assert_eq!(dag.timetable, Timetable::None);
    assert_eq!(dag.timezone, "UTC");
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.catchup), (16, 16, false));
    assert_eq!(dag.tasks, [TaskSpec::new("only", Operator::Empty)]);
    assert_eq!(dag.source.kind, SourceKind::Yaml);
    assert_eq!(dag.source.rel_path, "a/b.yaml");
}

#[test]
fn every_field_of_a_dag_arrives() {
    let dag = one(
        "dag_id: full\ndisplay_name: Full\ndescription: all of it\ndoc_md: '# Full'\nschedule: '0 2 * * *'\n\
         timezone: Europe/London\nstart_date: 2026-07-01\nend_date: 2026-12-31T12:30:00Z\ncatchup: true\n\
         max_active_runs: 2\nmax_active_tasks: 3\nmax_consecutive_failed_dag_runs: 4\ndagrun_timeout: 2h\nfail_fast: true\n\
         is_paused_upon_creation: false\ntags: [a, b]\n\
         params:\n  plain: 5\n  typed: {default: 7, type: integer, minimum: 1, description: how many}\n\
         default_args: {owner: ada, retries: 2}\n\
         tasks:\n  t: {operator: empty}\n  u: {operator: empty, owner: bob, retries: 0}\n",
    );
    assert_eq!(dag.display_name.as_deref(), Some("Full"));
    assert_eq!(dag.doc_md.as_deref(), Some("# Full"));
    // Midnight of a summer day in London.
    assert_eq!(dag.start_date.unwrap().to_string(), "2026-06-30T23:00:00Z");
    assert_eq!(dag.end_date.unwrap().to_string(), "2026-12-31T12:30:00Z");
    assert!(dag.catchup && dag.fail_fast);
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.max_consecutive_failed_dag_runs), (2, 3, 4));
    assert_eq!(dag.dagrun_timeout, Some(Duration::from_secs(7200)));
    assert_eq!(dag.is_paused_upon_creation, Some(false));
    assert_eq!(dag.tags, ["a", "b"]);
    assert_eq!(dag.owners, ["ada", "bob"]);
    assert_eq!(dag.params["plain"].value, json!(5));
    assert_eq!(dag.params["typed"].value, json!(7));
    assert_eq!(dag.params["typed"].schema, json!({"type": "integer", "minimum": 1}));
    assert_eq!(dag.params["typed"].description.as_deref(), Some("how many"));
    assert_eq!(dag.tasks[0].retry.retries, 2);
    assert_eq!(dag.tasks[1].retry.retries, 0);
}

#[test]
fn every_field_of_a_task_arrives() {
    let dag = one(
        "dag_id: d\nstart_date: 2026-01-01\ntasks:\n  - {id: up, operator: empty, setup: true}\n  - id: t\n    operator: bash\n    \
         command: echo {{ ds }}\n    env: {PORT: 8080, NAME: x}\n    append_env: false\n    cwd: /tmp\n    skip_on_exit_code: 7\n    \
         depends_on: up\n    owner: ada\n    trigger_rule: all_done\n    pool: etl\n    pool_slots: 2\n    queue: ml\n    \
         priority_weight: 9\n    weight_rule: absolute\n    retries: 3\n    retry_delay: 5m\n    exponential_backoff: true\n    \
         max_retry_delay: 1h\n    execution_timeout: 90\n    wait_for_downstream: true\n    ignore_first_depends_on_past: true\n    \
         max_active_tis_per_dag: 1\n    max_active_tis_per_dagrun: 2\n    do_xcom_push: false\n    start_date: 2026-02-01\n    \
         end_date: 2026-03-01\n  - {id: down, operator: empty, teardown: true, on_failure_fail_dagrun: true, depends_on: [up, t]}\n",
    );
    let task = dag.task("t").unwrap();
    let Operator::Native(NativeOperator::Bash(bash)) = &task.operator else { panic!("{:?}", task.operator) };
    assert_eq!(bash.command, "echo {{ ds }}");
    assert_eq!(bash.env["PORT"], "8080");
    assert!(!bash.append_env);
    assert_eq!(bash.skip_on_exit_code, [7]);
    assert_eq!(task.upstream, ["up".into()]);
    assert_eq!(task.trigger_rule, TriggerRule::AllDone);
    assert_eq!((task.pool.as_str(), task.pool_slots, task.queue.as_str()), ("etl", 2, "ml"));
    assert_eq!((task.priority_weight, task.weight_rule), (9, WeightRule::Absolute));
    assert_eq!(task.retry.retries, 3);
    assert_eq!(task.retry.delay, Duration::from_secs(300));
    assert_eq!(task.retry.exponential_backoff, 2.0);
    assert_eq!(task.retry.max_delay, Some(Duration::from_secs(3600)));
    assert_eq!(task.execution_timeout, Some(Duration::from_secs(90)));
    // Airflow: wait_for_downstream implies depends_on_past.
    assert!(task.depends_on_past && task.wait_for_downstream && task.ignore_first_depends_on_past);
    assert_eq!((task.max_active_tis_per_dag, task.max_active_tis_per_dagrun), (Some(1), Some(2)));
    assert!(!task.do_xcom_push);
    assert_eq!(task.start_date.unwrap().to_string(), "2026-02-01T00:00:00Z");
    assert!(dag.task("up").unwrap().is_setup);
    let down = dag.task("down").unwrap();
    assert!(down.is_teardown && down.on_failure_fail_dagrun);
    assert_eq!(down.trigger_rule, TriggerRule::AllDoneSetupSuccess);
}

#[test]
fn every_operator_is_read() {
    for (yaml, kind) in [
        ("operator: noop\n    value: {a: [1, '{{ ds }}']}\n", "noop"),
        ("operator: bash\n    command: |\n      echo one\n      echo two\n", "bash"),
        (
            "operator: http\n    url: https://example.com/x\n    method: post\n    headers: {A: b}\n    json: {k: 1}\n    \
             timeout: 5s\n    expect: [200, 404]\n",
            "http",
        ),
        ("operator: http\n    url: /path\n    connection: api\n", "http"),
        ("operator: sql\n    connection: db\n    sql: select $1\n    parameters: [1, null]\n    max_rows: 5\n", "sql"),
        ("operator: file_sensor\n    path: /tmp/*.csv\n    poke_interval: 5s\n    mode: reschedule\n", "file_sensor"),
        ("operator: time_sensor\n    target_time: '09:30'\n    timezone: Europe/Paris\n", "time_sensor"),
        ("operator: time_delta_sensor\n    delta: 1h30m\n", "time_delta_sensor"),
        (
            "operator: date_time_sensor\n    target_time: '{{ data_interval_end }}'\n    soft_fail: true\n",
            "date_time_sensor",
        ),
    ] {
        let task = with_task(&format!("    {yaml}"));
        assert_eq!(task.operator.name(), kind);
    }
    let task = with_task(
        "    operator: file_sensor\n    path: x\n    poke_interval: 5s\n    timeout: 1h\n    mode: reschedule\n    soft_fail: true\n",
    );
    let Operator::Native(NativeOperator::FileSensor(sensor)) = task.operator else { panic!("not a file sensor") };
    assert_eq!((sensor.sensor.poke_interval, sensor.sensor.timeout), (5.0, 3600.0));
    assert_eq!((sensor.sensor.mode, sensor.sensor.soft_fail), (SensorMode::Reschedule, true));
}

#[test]
fn schedules_mean_what_they_mean_in_airflow() {
    let cron = |cron: &str| Timetable::CronTrigger {
        cron: cron.to_owned(),
        timezone: "Europe/London".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    for (yaml, timetable, text) in [
        ("", Timetable::None, None),
        ("schedule:", Timetable::None, None),
        ("schedule: none", Timetable::None, None),
        ("schedule: '30 6 * * 1-5'", cron("30 6 * * 1-5"), Some("30 6 * * 1-5")),
        ("schedule: '@daily'", cron("0 0 * * *"), Some("@daily")),
        ("schedule: '@once'", Timetable::Once, Some("@once")),
        ("schedule: '@continuous'", Timetable::Continuous, Some("@continuous")),
        (
            "schedule: 90m",
            Timetable::DeltaTrigger { delta: Delta::seconds(5400), interval: Delta::default() },
            Some("90m"),
        ),
        (
            "schedule: {every: 1d, data_interval: true}",
            Timetable::DeltaDataInterval { delta: Delta::seconds(86_400) },
            Some("every 1d"),
        ),
        (
            "schedule: {cron: '0 0 * * *', data_interval: true, timezone: America/New_York}",
            Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "America/New_York".to_owned() },
            Some("0 0 * * *"),
        ),
        (
            "schedule: {cron: '@weekly', interval: 7d, run_immediately: 5m}",
            Timetable::CronTrigger {
                cron: "0 0 * * 0".to_owned(),
                timezone: "Europe/London".to_owned(),
                interval: Delta::seconds(604_800),
                run_immediately: RunImmediately::Within(300_000_000),
            },
            Some("@weekly"),
        ),
        (
            "schedule: ['0 1 * * *', '0 2 * * *']",
            Timetable::MultipleCronTrigger {
                crons: vec!["0 1 * * *".to_owned(), "0 2 * * *".to_owned()],
                timezone: "Europe/London".to_owned(),
                interval: Delta::default(),
                run_immediately: RunImmediately::Auto,
            },
            Some("0 1 * * *, 0 2 * * *"),
        ),
    ] {
        let dag = with_schedule(yaml);
        assert_eq!(dag.timetable, timetable, "{yaml}");
        assert_eq!(dag.schedule_text.as_deref(), text, "{yaml}");
    }
    assert_eq!(with_schedule("schedule: '@continuous'").max_active_runs, 1);
}

#[test]
fn the_installation_may_choose_data_intervals() {
    let settings = YamlSettings { default_timezone: "Asia/Tokyo".to_owned(), create_cron_data_intervals: true };
    let text = "dag_id: d\nschedule: '@daily'\nstart_date: 2026-01-01\ntasks: {t: {operator: empty}}\n";
    let file = parse_yaml("d.yaml", text, &settings);
    let dag = &file.dags[0];
    assert_eq!(
        dag.timetable,
        Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "Asia/Tokyo".to_owned() }
    );
    assert_eq!(dag.start_date.unwrap().to_string(), "2025-12-31T15:00:00Z");
}

#[test]
fn tasks_are_sorted_upstream_first() {
    let dag = one(
        "dag_id: d\ntasks:\n  last: {operator: empty, depends_on: [middle]}\n  middle: {operator: empty, depends_on: first}\n  \
         first: {operator: empty}\n",
    );
    let ids: Vec<_> = dag.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(ids, ["first", "middle", "last"]);
}

#[test]
fn a_file_holds_several_dags_and_anchors_work() {
    let dags = parse(
        "dag_id: a\ndefault_args: &args {retries: 4}\ntasks: [{id: t, operator: empty}]\n---\n\
         dag_id: b\ntasks: [{id: t, operator: empty}]\n---\n",
    );
    assert_eq!(dags.len(), 2);
    let dag = one(
        "dag_id: a\ntasks:\n  a: &base {operator: bash, command: 'true', retries: 2}\n  b: {<<: *base, command: 'false'}\n",
    );
    assert_eq!(dag.task("b").unwrap().retry.retries, 2);
}

#[test]
fn only_dag_files_are_taken_for_dags() {
    assert!(is_dag_yaml("# c\ndag_id: x\n"));
    assert!(is_dag_yaml("{\"dag_id\": \"x\"}"));
    assert!(is_dag_yaml("dag-id: x\ntasks:\n  - id: a\n    operator: bash\n"));
    assert!(!is_dag_yaml("tasks:\n  build:\n    cmds: [make]\n"));
    assert!(!is_dag_yaml("models:\n  dag_id: x\n"));
    assert!(!is_dag_yaml(""));
}
