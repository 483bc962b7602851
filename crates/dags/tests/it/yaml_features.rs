//! Mapping, task groups, assets and limits of YAML DAGs.

use serde_json::{Value, json};
use tradewind_types::{
    Asset, AssetCondition, AssetKey, AssetRef, ConcurrencyLimit, DagSpec, Expand, ExpandArg, Operator, TaskId,
    TaskSpec, Timetable,
};

use crate::{yaml_errors::problems, yaml_good::one};

fn task<'d>(dag: &'d DagSpec, id: &str) -> &'d TaskSpec {
    dag.task(id).unwrap_or_else(|| panic!("no task {id}"))
}

fn upstream(dag: &DagSpec, id: &str) -> Vec<String> {
    task(dag, id).upstream.iter().map(TaskId::to_string).collect()
}

fn literal(values: Value) -> ExpandArg {
    let values = values.as_array().unwrap().clone();
    ExpandArg::Literal { length: values.len() as u64, values: Some(values) }
}

fn xcom(task: &str) -> ExpandArg {
    ExpandArg::XCom { task_id: TaskId::from(task), key: "return_value".to_owned() }
}

fn option(task: &TaskSpec, name: &str) -> Value {
    let Operator::Native(native) = &task.operator else { panic!("{:?} is not native", task.operator) };
    serde_json::to_value(native).unwrap()[name].clone()
}

#[test]
fn tasks_are_mapped_over_lists_and_results() {
    let dag = one("dag_id: d\ntasks:\n\
         \x20 list: {operator: noop, value: [1, 2]}\n\
         \x20 both: {operator: bash, expand: {command: ['echo 1', 'echo 2'], env: [{A: '1'}]}, cwd: /tmp}\n\
         \x20 over: {operator: bash, depends_on: [other], expand: {command: {xcom: list}}}\n\
         \x20 other: {operator: empty}\n\
         \x20 rows: {operator: http, method: post, expand: [{url: 'http://a', timeout: 5s}, {url: 'http://b'}]}\n\
         \x20 none: {operator: noop, expand: {value: []}}\n\
         \x20 any: {operator: noop, expand: {value: [1, [x], {k: null}]}}\n\
         \x20 pages: {operator: http, expand: {url: {xcom: list}, expect: [200, [200, 404]]}}\n");
    let product = |arguments: &[(&str, ExpandArg)]| {
        Some(Expand::Product {
            arguments: arguments.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone())).collect(),
        })
    };
    let both = task(&dag, "both");
    let commands = literal(json!(["echo 1", "echo 2"]));
    assert_eq!(both.expand, product(&[("command", commands), ("env", literal(json!([{"A": "1"}])))]));
    assert_eq!((option(both, "command"), option(both, "cwd")), (json!("echo 1"), json!("/tmp")));
    assert_eq!(task(&dag, "over").expand, product(&[("command", xcom("list"))]));
    assert_eq!(upstream(&dag, "over"), ["other", "list"], "what it is mapped over comes before it");
    let rows = task(&dag, "rows");
    assert_eq!(
        rows.expand,
        Some(Expand::Rows { rows: literal(json!([{"url": "http://a", "timeout": 5.0}, {"url": "http://b"}])) }),
        "values have the form that the operator keeps them in"
    );
    assert_eq!(option(rows, "method"), json!("POST"));
    assert_eq!(task(&dag, "none").expand, product(&[("value", literal(json!([])))]));
    assert_eq!(task(&dag, "any").expand, product(&[("value", literal(json!([1, ["x"], {"k": null}])))]));
    let pages = product(&[("url", xcom("list")), ("expect", literal(json!([[200], [200, 404]])))]);
    assert_eq!(task(&dag, "pages").expand, pages);
}

#[test]
fn wrong_mappings_are_named_with_their_place() {
    let with = |expand: &str| {
        let found = problems(&format!(
            "dag_id: d\ntasks:\n  list: {{operator: noop}}\n  nothing: {{operator: empty}}\n  t:\n    operator: bash\n    \
             expand: {expand}\n"
        ));
        assert_eq!(found.len(), 1, "{expand}: {found:?}");
        found[0].clone()
    };
    for (expand, message) in [
        ("{}", "7:13 tasks.t.expand: is empty: name at least one option to map over, e.g. {command: [first, second]}"),
        ("[]", "7:13 tasks.t.expand: is empty: name at least one option to map over, e.g. {command: [first, second]}"),
        (
            "5",
            "7:13 tasks.t.expand: expects a mapping from options to lists, or a list of mappings, found the number 5",
        ),
        (
            "{command: echo}",
            "7:23 tasks.t.expand.command: expects a list, or {xcom: TASK} for the result of a task, found \"echo\"",
        ),
        (
            "{command: {a: 1}}",
            "7:23 tasks.t.expand.command: a mapping here is {xcom: TASK}; write other values as a list",
        ),
        ("{comand: [a]}", "7:14 tasks.t.expand: there is no field \"comand\" (did you mean \"command\"?)"),
        (
            "{retries: [1]}",
            "7:14 tasks.t.expand: there is no field \"retries\"; the fields are command, env, append_env, cwd, skip_on_exit_code",
        ),
        ("{command: [a, '']}", "7:27 tasks.t.expand.command[2]: is empty"),
        ("{command: [a, true]}", "7:27 tasks.t.expand.command[2]: expects text, found true: put it in quotes"),
        (
            "{command: {xcom: lst}}",
            "7:13 tasks.t.expand: there is no task \"lst\" to map over (did you mean \"list\"?)",
        ),
        ("{command: {xcom: t}}", "7:13 tasks.t.expand: a task cannot be mapped over its own result"),
        (
            "{command: {xcom: nothing}}",
            "7:13 tasks.t.expand: is mapped over the result of the task \"nothing\", which does nothing and has none",
        ),
        ("[{command: a}, {cwd: b}]", "7:28 tasks.t.expand[2]: the field \"command\" is missing"),
        ("[a]", "7:14 tasks.t.expand[1]: expects a mapping of options, found \"a\""),
    ] {
        assert_eq!(with(expand), message);
    }
    assert_eq!(
        with("{command: [a]}\n    command: b"),
        "7:14 tasks.t.expand: \"command\" is given beside expand, too; leave one of them out"
    );
    // What is wrong beside the mapping is still said.
    assert_eq!(with("{command: [a]}\n    cwd: [x]"), "8:10 tasks.t.expand.cwd: expects text, found a list");
    let wait = problems(
        "dag_id: d\ntasks:\n  l: {operator: noop}\n  t: {operator: time_delta_sensor, expand: {delta: [1s]}}\n  \
         u: {operator: time_sensor, expand: {target_time: {xcom: l}}}\n  v: {operator: empty, expand: {value: [1]}}\n",
    );
    assert_eq!(
        wait,
        [
            "4:45 tasks.t.expand.delta: \"delta\" cannot differ between instances of a task",
            "5:52 tasks.u.expand.target_time: cannot take the result of a task, nor an empty list: write its values as a list",
            "6:33 tasks.v.expand: \"empty\" has no options to map over",
        ]
    );
}

const GROUPS: &str = "dag_id: d
task_groups:
  load: { tooltip: Into the warehouse, depends_on: extract }
  extract:
  deep: { parent: load }
tasks:
  start: { operator: empty }
  a: { operator: empty, group: extract, depends_on: start }
  b: { operator: empty, group: extract, depends_on: a }
  c: { operator: empty, group: extract }
  d: { operator: empty, group: load }
  e: { operator: empty, group: deep }
  f: { operator: empty, group: load, depends_on: deep }
  clean: { operator: empty, group: load, depends_on: f, teardown: true }
  end: { operator: empty, depends_on: [load, start] }
";

#[test]
fn groups_stand_for_their_first_and_last_tasks() {
    let dag = one(GROUPS);
    let groups: Vec<_> = dag
        .task_groups
        .iter()
        .map(|group| {
            let tasks: Vec<&str> = group.tasks.iter().map(TaskId::as_str).collect();
            (group.group_id.as_str(), group.parent.as_deref(), tasks, group.tooltip.as_deref())
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("load", None, vec!["d", "f", "clean"], Some("Into the warehouse")),
            ("extract", None, vec!["a", "b", "c"], None),
            ("deep", Some("load"), vec!["e"], None),
        ]
    );
    for (id, ids) in [
        ("a", vec!["start"]),
        ("b", vec!["a"]),
        ("c", vec![]),
        ("d", vec!["b", "c"]),
        ("e", vec!["b", "c"]),
        ("f", vec!["e"]),
        ("clean", vec!["f"]),
        // A teardown is not what comes after a group waits for.
        ("end", vec!["d", "f", "start"]),
    ] {
        assert_eq!(upstream(&dag, id), ids, "{id}");
    }
}

#[test]
fn wrong_groups_are_named_with_their_place() {
    let with = |change: (&str, &str)| {
        assert!(GROUPS.contains(change.0));
        let found = problems(&GROUPS.replacen(change.0, change.1, 1));
        assert_eq!(found.len(), 1, "{change:?}: {found:?}");
        found[0].clone()
    };
    for (change, message) in [
        (("group: deep", "group: dep"), "12:32 tasks.e.group: there is no task group \"dep\" (did you mean \"deep\"?)"),
        (
            ("parent: load", "parent: laod"),
            "5:19 task_groups.deep.parent: there is no task group \"laod\" (did you mean \"load\"?)",
        ),
        (("parent: load", "parent: deep"), "5:19 task_groups.deep.parent: the group is inside of itself"),
        (
            ("depends_on: extract }", "depends_on: extrct }"),
            "3:52 task_groups.load.depends_on: there is no task or task group \"extrct\" (did you mean \"extract\"?)",
        ),
        (
            ("depends_on: [load", "depends_on: [lod"),
            "15:39 tasks.end.depends_on: there is no task \"lod\" (did you mean \"load\"?)",
        ),
        (("  start: {", "  deep: {"), ""),
        (
            ("  extract:\n", "  extract: { depends_on: load }\n"),
            "3:3 task_groups: the task group \"load\" waits for itself",
        ),
        (
            ("  extract:\n", "  extract: { tooltp: x }\n"),
            "4:14 task_groups.extract: there is no field \"tooltp\" (did you mean \"tooltip\"?)",
        ),
        (("  extract:\n", "  extract: 5\n"), "4:12 task_groups.extract: expects a mapping, found the number 5"),
    ] {
        if message.is_empty() {
            let found = problems(&GROUPS.replacen(change.0, change.1, 1).replace("start", "deep"));
            assert_eq!(found, ["7:3 tasks: the id \"deep\" is a task group's, too; give one of them another id"]);
        } else {
            assert_eq!(with(change), message);
        }
    }
}

fn asset(name: &str, uri: &str) -> AssetKey {
    AssetKey { name: name.to_owned(), uri: uri.to_owned() }
}

#[test]
fn assets_are_named_as_in_airflow() {
    let dag = one("dag_id: d\n\
         schedule:\n  assets:\n    any:\n      - all: [orders, 's3://bucket']\n      - {alias: latest}\n      - {ref: stock}\n\
         tasks:\n  t:\n    operator: empty\n    outlets:\n      - {name: made, uri: 'S3://b/made/', group: g, extra: {owner: a}}\n      \
         - {alias: latest}\n    inlets: [orders, {ref: 's3://other'}, made]\n  u: {operator: empty, outlets: orders}\n");
    let one_of = |asset| AssetCondition::One { asset };
    let orders = AssetRef::Asset(asset("orders", "orders"));
    let bucket = AssetRef::Asset(asset("s3://bucket", "s3://bucket/"));
    let latest = AssetRef::Alias { name: "latest".to_owned() };
    let both = AssetCondition::All { of: vec![one_of(orders.clone()), one_of(bucket)] };
    let stock = AssetRef::Name { name: "stock".to_owned() };
    let condition = AssetCondition::Any { of: vec![both, one_of(latest.clone()), one_of(stock)] };
    assert_eq!(dag.timetable, Timetable::Assets { condition });
    assert_eq!(dag.schedule_text.as_deref(), Some("(orders & s3://bucket) | latest | stock"));
    let t = task(&dag, "t");
    let made = asset("made", "s3://b/made");
    assert_eq!(t.outlets, [AssetRef::Asset(made.clone()), latest]);
    let other = AssetRef::Uri { uri: "s3://other/".to_owned() };
    assert_eq!(t.inlets, [orders.clone(), other, AssetRef::Asset(asset("made", "made"))]);
    assert_eq!(t.operator.name(), "noop", "a task that updates an asset needs a worker");
    assert_eq!(task(&dag, "u").outlets, [orders]);
    let plain = |key| Asset { key, group: "asset".to_owned(), extra: json!({}) };
    assert_eq!(
        dag.assets,
        [
            plain(asset("made", "made")),
            Asset { key: made, group: "g".to_owned(), extra: json!({"owner": "a"}) },
            plain(asset("orders", "orders")),
            plain(asset("s3://bucket", "s3://bucket/")),
        ]
    );
    let dag = one(
        "dag_id: d\nstart_date: 2026-01-01\nschedule: {cron: '@daily', assets: [a, b]}\ntasks: {t: {operator: empty}}\n",
    );
    let Timetable::AssetOrTime { timetable, condition } = &dag.timetable else { panic!("{:?}", dag.timetable) };
    assert!(matches!(**timetable, Timetable::CronTrigger { .. }));
    assert_eq!(condition.assets().len(), 2);
    assert_eq!(dag.schedule_text.as_deref(), Some("@daily or a & b"));
}

#[test]
fn wrong_assets_are_named_with_their_place() {
    let with = |schedule: &str| {
        let text = format!("dag_id: d\nschedule: {schedule}\ntasks: {{t: {{operator: empty}}}}\n");
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{schedule}: {found:?}");
        found[0].clone()
    };
    for (schedule, message) in [
        ("{assets: []}", "2:20 schedule.assets: names no asset"),
        ("{assets: {any: []}}", "2:20 schedule.assets.any: names no asset"),
        ("{assets: {any: a}}", "2:26 schedule.assets.any: expects a list of assets, found \"a\""),
        (
            "{assets: {any: [a], all: [b]}}",
            "2:20 schedule.assets: \"all\" or \"any\" stands alone; nest one in the other's list",
        ),
        (
            "{assets: [a, 5]}",
            "2:24 schedule.assets[2]: expects an asset: a name, a URI, or a mapping, found the number 5",
        ),
        ("{assets: [{nam: a}]}", "2:22 schedule.assets[1]: there is no field \"nam\" (did you mean \"name\"?)"),
        ("{assets: [{group: a}]}", "2:21 schedule.assets[1]: needs a name or a uri"),
        ("{assets: [{alias: a, uri: b}]}", "2:29 schedule.assets[1].alias: stands alone: an alias has a name only"),
        (
            "{assets: 'https://u:p@host/'}",
            "2:20 schedule.assets.uri: holds a password; an asset's URI only names it, so leave user and password out",
        ),
        ("{assets: a, corn: '* * * * *'}", "2:23 schedule: there is no field \"corn\" (did you mean \"cron\"?)"),
    ] {
        assert_eq!(with(schedule), message);
    }
    let outlets = problems("dag_id: d\ntasks:\n  t: {operator: empty, outlets: [a, 'airflow://x']}\n");
    assert_eq!(outlets, ["3:37 tasks.t.outlets[2].uri: the scheme \"airflow\" is reserved"]);
}

#[test]
fn limits_are_shared_by_key() {
    let dag = one("dag_id: d\ntask_limit: 7\ndefault_args: {concurrency: {key: db, limit: 3}}\ntasks:\n  \
         a: {operator: empty}\n  b: {operator: empty, concurrency: [{key: api, limit: 1}, {key: gpu, limit: 2}]}\n");
    let limit = |key: &str, limit| ConcurrencyLimit { key: key.to_owned(), limit };
    assert_eq!(dag.task_limit, Some(7));
    assert_eq!(task(&dag, "a").concurrency, [limit("db", 3)]);
    assert_eq!(task(&dag, "b").concurrency, [limit("api", 1), limit("gpu", 2)]);
    let with = |concurrency: &str| {
        problems(&format!("dag_id: d\ntasks:\n  t: {{operator: empty, concurrency: {concurrency}}}\n")).join("\n")
    };
    assert_eq!(
        with("{key: a, limit: 0}"),
        "3:37 tasks.t.concurrency: has the limit 0 for \"a\", with which the task would never run"
    );
    assert_eq!(
        with("{key: a, limt: 1}"),
        "3:46 tasks.t.concurrency: there is no field \"limt\" (did you mean \"limit\"?)"
    );
    assert_eq!(with("{key: a}"), "3:37 tasks.t.concurrency: the field \"limit\" is missing");
    assert_eq!(with("[{key: a, limit: 1}, {key: a, limit: 2}]"), "3:37 tasks.t.concurrency: names the key \"a\" twice");
    let zero = problems("dag_id: d\ntask_limit: 0\ntasks: {t: {operator: empty}}\n");
    assert_eq!(zero, ["2:13 task_limit: needs to be at least 1"]);
}

#[test]
fn params_fit_their_own_schemas() {
    let with =
        |param: &str| problems(&format!("dag_id: d\nparams: {{rows: {param}}}\ntasks: {{t: {{operator: empty}}}}\n"));
    assert!(with("{default: 5, type: integer, minimum: 1}").is_empty());
    assert!(with("{default: null, type: integer}").is_empty(), "no default: a run gives the value");
    assert!(with("5").is_empty());
    let found = with("{default: 0, type: integer, minimum: 1}");
    assert_eq!(found, ["2:26 params.rows: its default does not fit its own schema: 0 is less than the minimum of 1"]);
    let found = with("{default: 0, type: intger}");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("2:26 params.rows: its keywords are no JSON Schema: "), "{found:?}");
}
