//! What is said about YAML DAGs that are wrong: line, column, field and the way out.

use tradewind_dags::yaml::{YamlSettings, parse_yaml};

/// Each problem as `LINE:COLUMN message`.
pub fn problems(text: &str) -> Vec<String> {
    let file = parse_yaml("d.yaml", text, &YamlSettings::default());
    file.problems
        .iter()
        .map(|problem| {
            let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            format!("{}:{} {}", number(problem.line), number(problem.column), problem.message)
        })
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "\n{text}");
}

const HEAD: &str = "dag_id: d\ntasks:\n  - id: a\n    operator: bash\n    command: 'true'\n";

#[test]
fn wrong_fields_are_named_with_the_right_one() {
    check(
        &format!("{HEAD}    retires: 3\n"),
        &["6:5 tasks.a: there is no field \"retires\" (did you mean \"retries\"?)"],
    );
    check(
        &format!("{HEAD}    bash_command: x\n"),
        &["6:5 tasks.a: there is no field \"bash_command\"; here it is called \"command\""],
    );
    check(
        &format!("{HEAD}schedule_interval: '@daily'\n"),
        &["6:1 there is no field \"schedule_interval\"; here it is called \"schedule\""],
    );
    check(
        &format!("{HEAD}default_args:\n  retry_dealy: 5m\n"),
        &["7:3 default_args: there is no field \"retry_dealy\" (did you mean \"retry_delay\"?)"],
    );
    check(
        &format!("{HEAD}schedule:\n  corn: '0 0 * * *'\n"),
        &["7:3 schedule: there is no field \"corn\" (did you mean \"cron\"?)"],
    );
}

#[test]
fn wrong_values_are_named_with_what_is_expected() {
    for (line, message) in [
        ("retries: many", "6:14 tasks.a.retries: expects a whole number of at least 0, found \"many\""),
        ("retries: -1", "6:14 tasks.a.retries: expects a whole number of at least 0, found the number -1"),
        (
            "retry_delay: 5 parsecs",
            "6:18 tasks.a.retry_delay: \"5 parsecs\" is not a duration: write 30s, 5m, 1h30m, 2d, or a number of seconds",
        ),
        ("trigger_rule: all_don", "6:19 tasks.a.trigger_rule: there is no \"all_don\" (did you mean \"all_done\"?)"),
        ("depends_on_past: yes", "6:22 tasks.a.depends_on_past: expects true or false, found \"yes\""),
        ("env: {A: true}", "6:14 tasks.a.env.A: expects text, found true: put it in quotes"),
        ("env: {A: 1.10}", "6:14 tasks.a.env.A: expects text, found the number 1.1: put it in quotes"),
        ("cwd: {{ ds }}", "6:10 not YAML"),
        ("pool_slots: 0", "6:17 tasks.a.pool_slots: needs to be at least 1"),
        (
            "queue: a b",
            "6:12 tasks.a.queue: the queue name \"a b\" contains ' '; use letters, digits, dashes, dots and underscores",
        ),
        ("skip_on_exit_code: [1, x]", "6:28 tasks.a.skip_on_exit_code[2]: expects a whole number, found \"x\""),
        (
            "start_date: soon",
            "6:17 tasks.a.start_date: \"soon\" is no date: write 2026-01-31, 2026-01-31T09:30 (in the DAG's timezone) or 2026-01-31T09:30:00Z",
        ),
    ] {
        let found = problems(&format!("{HEAD}    {line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        if message.ends_with("not YAML") {
            assert!(
                found[0].contains("not YAML")
                    && found[0].ends_with("a template such as {{ ds }} needs quotes around it"),
                "{found:?}"
            );
        } else {
            assert_eq!(found[0], message);
        }
    }
}

#[test]
fn operators_are_checked() {
    let with = |task: &str| problems(&format!("dag_id: d\ntasks:\n  - id: a\n{task}"));
    assert_eq!(
        with("    operator: bahs\n    command: x\n"),
        ["4:15 tasks.a.operator: there is no operator \"bahs\" (did you mean \"bash\"?)"]
    );
    assert_eq!(
        with("    operator: BashOperator\n    command: x\n"),
        ["4:15 tasks.a.operator: there is no operator \"BashOperator\" (did you mean \"bash\"?)"]
    );
    assert_eq!(
        with("    operator: python\n"),
        ["4:15 tasks.a.operator: there is no operator \"python\"; Python runs in DAG files with the ending .py"]
    );
    assert_eq!(with("    retries: 1\n"), ["3:5 tasks.a: the field \"operator\" is missing, e.g. operator: bash"]);
    assert_eq!(with("    operator: bash\n"), ["3:5 tasks.a: the field \"command\" is missing"]);
    assert_eq!(with("    operator: bash\n    command: ''\n"), ["5:14 tasks.a.command: is empty"]);
    assert_eq!(
        with("    operator: http\n    url: example.com\n"),
        ["5:10 tasks.a.url: \"example.com\" begins with neither http:// nor https:// and no connection is given"]
    );
    assert_eq!(
        with("    operator: http\n    url: http://x\n    method: FETCH\n"),
        ["6:13 tasks.a.method: \"FETCH\" is none of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"]
    );
    assert_eq!(
        with("    operator: time_sensor\n    target_time: 25:00\n"),
        ["5:18 tasks.a.target_time: \"25:00\" is no time of the day: write 09:30 or 09:30:15"]
    );
    assert_eq!(
        with("    operator: file_sensor\n    path: x\n    mode: rescedule\n"),
        ["6:11 tasks.a.mode: there is no \"rescedule\" (did you mean \"reschedule\"?)"]
    );
    assert_eq!(with("    operator: noop\n    command: x\n").len(), 1, "a field of another operator is unknown");
}

#[test]
fn the_shape_of_the_dag_is_checked() {
    check(
        "dag_id: d\ntasks:\n  - {id: a, operator: empty}\n  - {id: b, operator: empty}\n  - {id: a, operator: empty}\n",
        &["5:10 tasks: the task id \"a\" is used twice, first in line 3; task ids are unique in a DAG"],
    );
    check(
        "dag_id: d\ntasks:\n  extract: {operator: empty}\n  load: {operator: empty, depends_on: [exract]}\n",
        &["4:39 tasks.load.depends_on: there is no task \"exract\" (did you mean \"extract\"?)"],
    );
    check(
        "dag_id: d\ntasks:\n  a: {operator: empty, depends_on: c}\n  b: {operator: empty, depends_on: a}\n  c: {operator: empty, depends_on: b}\n",
        &["3:36 tasks: the tasks wait for each other: a → b → c → a"],
    );
    check(
        "dag_id: d\ntasks:\n  a: {operator: empty, depends_on: a}\n",
        &["3:36 tasks.a.depends_on: a task cannot depend on itself"],
    );
    check("dag_id: d\n", &["1:1 the field \"tasks\" is missing"]);
    check("dag_id: d\ntasks: []\n", &["2:8 tasks: a DAG has at least one task"]);
    check("tasks:\n  - {id: a, operator: empty}\n", &["1:1 the field \"dag_id\" is missing"]);
    check(
        "dag_id: a b\ntasks: {t: {operator: empty}}\n",
        &["1:9 dag_id: the DAG id \"a b\" contains ' '; use letters, digits, dashes, dots and underscores"],
    );
    check("dag_id: d\ntasks:\n  - {operator: empty}\n", &["3:5 tasks[1]: the field \"id\" is missing"]);
    check("- a\n- b\n", &["1:1 expects a mapping with dag_id and tasks, found a list"]);
    check("# nothing\n", &["-:- the file holds no DAG: it has no content but comments"]);
}

#[test]
fn schedules_are_checked() {
    let with = |schedule: &str| {
        let found = problems(&format!(
            "dag_id: d\nschedule: {schedule}\nstart_date: 2026-01-01\ntasks: {{t: {{operator: empty}}}}\n"
        ));
        assert_eq!(found.len(), 1, "{schedule}: {found:?}");
        found[0].clone()
    };
    let bad_cron = with("'61 * * * *'");
    assert!(bad_cron.starts_with("2:11 schedule: ") && bad_cron.contains("61"), "{bad_cron}");
    assert_eq!(with("'@dayly'"), "2:11 schedule: there is no preset \"@dayly\" (did you mean \"@daily\"?)");
    assert!(with("tomorrow").starts_with("2:11 schedule: \"tomorrow\" is no schedule: write a cron expression"));
    assert!(with("0s").starts_with("2:11 schedule: a schedule needs time between its runs"));
    assert_eq!(with("{timezone: UTC}"), "2:11 schedule: needs \"cron\", \"every\" or \"assets\"");
    assert_eq!(with("{cron: '* * * * *', every: 5m}"), "2:38 schedule.every: does not go with cron: give one of them");
    let zone = problems("dag_id: d\ntimezone: Mars/Base\ntasks: {t: {operator: empty}}\n");
    assert_eq!(zone, ["2:11 timezone: \"Mars/Base\" is no IANA time zone, e.g. UTC or Europe/London"]);
    let catchup = problems("dag_id: d\nschedule: '@daily'\ncatchup: true\ntasks: {t: {operator: empty}}\n");
    assert_eq!(catchup.len(), 1);
    assert!(catchup[0].contains("catchup needs a start_date"), "{catchup:?}");
}

#[test]
fn broken_yaml_names_its_place() {
    for (text, place) in [
        ("dag_id: d\ntasks:\n  - id: a\n   operator: bash\n", "4:"),
        ("dag_id: d\ntasks: [a, b\n", "2:8 "),
        ("dag_id: d\n\ttasks: x\n", "1:9 "),
        ("dag_id: d\ndag_id: e\n", "2:1 "),
        ("dag_id: *nobody\n", "1:9 "),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(place) && found[0].contains("not YAML: "), "{text}: {found:?}");
        assert!(!found[0].contains(" at line "), "{found:?}");
    }
    let bomb: String = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let before = format!("*a{},", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{}]\n", before.trim_end_matches(','))
    });
    assert!(!problems(&format!("dag_id: d\n{bomb}")).is_empty(), "a billion laughs end in an error");
}

#[test]
fn all_problems_of_a_file_are_reported_and_sound_dags_stay() {
    let text = "dag_id: bad\nmax_active_runs: 0\ntasks:\n  a: {operator: bahs}\n  b: {operator: bash}\n---\n\
                dag_id: good\ntasks: {t: {operator: empty}}\n---\ndag_id: good\ntasks: {t: {operator: empty}}\n";
    let file = parse_yaml("d.yaml", text, &YamlSettings::default());
    assert_eq!(file.dags.len(), 1);
    assert_eq!(file.dags[0].dag_id.as_str(), "good");
    check(
        text,
        &[
            "2:18 DAG \"bad\": max_active_runs: needs to be at least 1",
            "4:17 DAG \"bad\": tasks.a.operator: there is no operator \"bahs\" (did you mean \"bash\"?)",
            "5:6 DAG \"bad\": tasks.b: the field \"command\" is missing",
            "10:9 dag_id: the DAG id \"good\" is used twice in this file, first in line 7; give one of them another id",
        ],
    );
}
