//! Mapping, triggers, assets, callbacks, deadlines, markers and limits of DAGs that the installed Airflow serialized.

use std::time::Duration;

use serde_json::{Value, json};
use tradewind_dags::airflow::{Converted, convert};
use tradewind_types::{
    Asset, AssetCondition, AssetKey, AssetRef, ConcurrencyLimit, DagSpec, DeadlineReference, Delta, Expand, ExpandArg,
    Operator, RunImmediately, StartTrigger, TaskId, TaskSpec, TaskState, Timetable, Trigger, TriggerRule, WeightRule,
};

use crate::airflow_dags::{converted, fixture};

fn task<'d>(dag: &'d DagSpec, id: &str) -> &'d TaskSpec {
    dag.task(id).unwrap_or_else(|| panic!("no task {id}"))
}

fn xcom(task: &str) -> ExpandArg {
    ExpandArg::XCom { task_id: TaskId::from(task), key: "return_value".to_owned() }
}

fn literal(length: u64) -> ExpandArg {
    ExpandArg::Literal { length, values: None }
}

fn product(arguments: &[(&str, ExpandArg)]) -> Expand {
    Expand::Product { arguments: arguments.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone())).collect() }
}

fn quiet(name: &str) -> DagSpec {
    let Converted { spec, warnings } = converted(name);
    assert_eq!(warnings, Vec::<String>::new(), "{name}");
    spec
}

#[test]
fn everything_that_can_be_mapped_over_has_its_length() {
    let dag = quiet("mapped");
    let map = |arg| ExpandArg::Map { arg: Box::new(arg) };
    let both = || vec![xcom("names"), xcom("more")];
    for (id, expand) in [
        ("greet", product(&[("name", xcom("names"))])),
        ("sh", product(&[("bash_command", literal(2)), ("env", literal(1))])),
        ("tuple", product(&[("name", literal(3))])),
        ("dict", product(&[("name", literal(2))])),
        ("product", product(&[("name", xcom("names")), ("other", literal(3))])),
        ("map", product(&[("name", map(xcom("names")))])),
        ("zip", product(&[("name", ExpandArg::Zip { args: both(), fill: false })])),
        ("zip_filled", product(&[("name", ExpandArg::Zip { args: both(), fill: true })])),
        ("concat", product(&[("name", ExpandArg::Concat { args: vec![xcom("names"), map(xcom("more"))] })])),
        ("rows", Expand::Rows { rows: literal(2) }),
        ("rows_of", Expand::Rows { rows: xcom("names") }),
        ("empty", product(&[("doc_md", literal(2))])),
    ] {
        assert_eq!(task(&dag, id).expand.as_ref(), Some(&expand), "{id}");
    }
    assert_eq!(task(&dag, "greet").upstream, [TaskId::from("names")]);
    assert_eq!(task(&dag, "done").upstream, [TaskId::from("greet")]);
    assert_eq!(task(&dag, "names").expand, None);
    assert_eq!(task(&dag, "empty").operator, Operator::Empty);
    assert_eq!(task(&dag, "sh").operator.name(), "BashOperator");
}

#[test]
fn a_mapped_task_keeps_what_it_is_given_besides() {
    let dag = quiet("partial");
    let all = task(&dag, "all");
    assert_eq!(all.retry.retries, 3);
    assert_eq!(all.retry.delay, Duration::from_secs(7));
    assert_eq!(all.retry.max_delay, Some(Duration::from_secs(3600)));
    assert_eq!(all.retry.exponential_backoff, 2.0);
    assert_eq!((all.pool.as_str(), all.pool_slots, all.queue.as_str()), ("etl", 2, "ml"));
    assert_eq!((all.trigger_rule, all.execution_timeout), (TriggerRule::AllDone, Some(Duration::from_secs(90))));
    assert_eq!((all.priority_weight, all.weight_rule), (5, WeightRule::Upstream));
    assert!(all.depends_on_past && all.wait_for_downstream && all.ignore_first_depends_on_past);
    assert!(all.wait_for_past_depends_before_skipping);
    assert_eq!((all.max_active_tis_per_dag, all.max_active_tis_per_dagrun), (Some(2), Some(1)));
    assert_eq!(all.start_date.unwrap().to_string(), "2026-02-01T00:00:00Z");
    assert_eq!(all.end_date.unwrap().to_string(), "2026-12-01T00:00:00Z");
    assert_eq!(all.owner.as_deref(), Some("ada"));
    assert!(!all.do_xcom_push && all.on_failure_callback && all.on_retry_callback);
    assert_eq!(all.outlets, [named("out"), AssetRef::Alias { name: "alias".to_owned() }]);
    assert_eq!(all.inlets, [named("in")]);
    assert_eq!(all.concurrency, [ConcurrencyLimit { key: "db".to_owned(), limit: 2 }]);
    let quiet = task(&dag, "quiet");
    assert!(quiet.on_failure_callback && !quiet.on_retry_callback);
    assert_eq!(quiet.retry.delay, Duration::from_secs(300));
}

#[test]
fn tasks_know_the_closest_mapped_group() {
    let dag = quiet("mapped_group");
    let group = |id: &str| dag.task_groups.iter().find(|group| group.group_id == id).unwrap();
    assert_eq!(group("group").expand, Some(product(&[("x", xcom("numbers"))])));
    assert_eq!(group("twice").expand, Some(Expand::Rows { rows: literal(1) }));
    assert_eq!((&group("group.inner").expand, &group("plain").expand), (&None, &None));
    for (id, mapped) in [
        ("group.inside", Some("group")),
        ("group.inner.deep", Some("group")),
        ("twice.sum", Some("twice")),
        ("plain.alone", None),
        ("numbers", None),
    ] {
        assert_eq!(task(&dag, id).mapped_group.as_deref(), mapped, "{id}");
        assert_eq!(task(&dag, id).expand, None);
    }
}

#[test]
fn what_is_mapped_wrongly_is_refused() {
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut serialized = fixture(name);
        change(&mut serialized);
        convert(&serialized, "x.py").unwrap_err().message
    };
    let task_at = |serialized: &Value, id: &str| {
        let tasks = serialized["dag"]["tasks"].as_array().unwrap();
        tasks.iter().position(|task| task["__var"]["task_id"] == id).unwrap()
    };
    let over = |id: &'static str, value: Value| {
        with("mapped", &move |serialized| {
            let at = task_at(serialized, id);
            serialized["dag"]["tasks"][at]["__var"]["op_kwargs_expand_input"]["value"] = value.clone();
        })
    };
    let xcom_of = |task: &str| json!({"__type": "dict", "__var": {"name": {"__type": "xcomref", "__var": {"task_id": task, "key": "return_value"}}}});
    assert_eq!(
        over("greet", xcom_of("nams")),
        "DAG \"mapped\": the task \"greet\" is mapped over the result of the task \"nams\", which is not in the DAG (did \
         you mean \"names\"?)"
    );
    assert_eq!(
        over("greet", xcom_of("done")),
        "DAG \"mapped\": the task \"greet\" is mapped over the result of the task \"done\", which is not upstream of \"greet\""
    );
    assert_eq!(
        over("greet", json!({"__type": "dict", "__var": {}})),
        "DAG \"mapped\": the task \"greet\": expand() is called without arguments; name at least one list to map over"
    );
    assert_eq!(
        over("greet", json!({"__type": "dict", "__var": {"name": 5}})),
        "DAG \"mapped\": the task \"greet\": expand(name=...) maps over 5, which is neither a list, a dict nor the result \
         of a task"
    );
    let missing = with("mapped", &|serialized| {
        let at = task_at(serialized, "greet");
        serialized["dag"]["tasks"][at]["__var"].as_object_mut().unwrap().remove("op_kwargs_expand_input");
    });
    assert!(
        missing.contains("the task \"greet\": it is mapped, but \"op_kwargs_expand_input\" is missing"),
        "{missing}"
    );
    let group = with("mapped_group", &|serialized| {
        let at = task_at(serialized, "numbers");
        serialized["dag"]["tasks"][at]["__var"]["downstream_task_ids"] = json!([]);
    });
    assert!(
        group.contains(
            "the task group \"group\" is mapped over the result of the task \"numbers\", which is not upstream"
        ),
        "{group}"
    );
    let twice = with("mapped_group", &|serialized| {
        let at = task_at(serialized, "group.inside");
        let task = &mut serialized["dag"]["tasks"][at]["__var"];
        task["_is_mapped"] = json!(true);
        task["expand_input"] = json!({"type": "list-of-dicts", "value": [{}]});
    });
    assert!(twice.contains("\"group.inside\" is mapped inside of the mapped task group \"group\""), "{twice}");
    let nested = with("mapped_group", &|serialized| {
        let group = serialized.pointer_mut("/dag/task_group/children/group/1/children/group.inner/1").unwrap();
        group["expand_input"] = json!({"type": "list-of-dicts", "value": [{}]});
    });
    assert!(
        nested.contains("the task group \"group.inner\" is mapped inside of the mapped task group \"group\""),
        "{nested}"
    );
}

#[test]
fn tasks_start_in_triggers() {
    let Converted { spec: dag, warnings } = converted("deferring");
    let start = |id: &str| task(&dag, id).start_trigger.clone();
    assert_eq!(start("file"), None, "it may defer, but starts on a worker");
    let date = json!({
        "__classname__": "pendulum.datetime.DateTime",
        "__version__": 2,
        "__data__": {
            "timestamp": 1_767_225_600.0,
            "tz": {
                "__classname__": "builtins.tuple",
                "__version__": 1,
                "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, true]
            }
        }
    });
    let at = |end| StartTrigger {
        trigger: Trigger::At { at: "2026-01-01T00:00:00Z".parse().unwrap(), event: date.clone(), end },
        timeout_micros: None,
        next_method: "execute_complete".to_owned(),
        next_kwargs: json!({}),
    };
    assert_eq!(start("moment"), Some(at(None)));
    assert_eq!(start("ending"), Some(at(Some(TaskState::Success))));
    for (id, time) in [("templated", "{{ data_interval_end }}"), ("naive", "2026-01-01T00:00:00")] {
        let Trigger::Hosted { class, kwargs } = start(id).unwrap().trigger else { panic!("{id} is not hosted") };
        assert_eq!(class, "airflow.providers.standard.triggers.temporal.DateTimeTrigger");
        assert_eq!(kwargs, json!({"target_time": time, "end_from_trigger": false}));
    }

    let own = start("own").unwrap();
    let classed = |name: &str, version: u32, data: Value| json!({"__classname__": name, "__version__": version, "__data__": data});
    assert_eq!(
        own.trigger,
        Trigger::Hosted {
            class: "team.triggers.Own".to_owned(),
            kwargs: json!({
                "text": "a",
                "nested": {"list": [null, 1.5]},
                "delta": classed("datetime.timedelta", 2, json!(3.0)),
                "at": date,
                "tuple": classed("builtins.tuple", 1, json!([1, 2])),
                "set": classed("builtins.set", 1, json!([1])),
            }),
        }
    );
    assert_eq!((own.next_method.as_str(), own.timeout_micros), ("resume", Some(90_000_000)));
    assert_eq!(own.next_kwargs, json!({"step": classed("datetime.timedelta", 2, json!(86_400.0))}));
    assert_eq!(start("short").unwrap().timeout_micros, Some(60_000_000), "execution_timeout is shorter");
    assert_eq!((start("mapped"), start("odd")), (None, None));
    assert_eq!(
        warnings,
        [
            "the task \"mapped\" starts on a worker, not in its trigger: a mapped task cannot start in a trigger, in \
             Airflow neither",
            "the task \"odd\" starts on a worker, not in its trigger: its trigger_kwargs hold a value of the type \
             relativedelta",
        ]
    );
}

fn key(name: &str, uri: &str) -> AssetKey {
    AssetKey { name: name.to_owned(), uri: uri.to_owned() }
}

fn named(name: &str) -> AssetRef {
    AssetRef::Asset(key(name, name))
}

#[test]
fn assets_are_found_wherever_they_are_named() {
    let dag = quiet("assets");
    let one = |asset| AssetCondition::One { asset };
    let orders = key("orders", "s3://bucket/orders");
    let bucket = key("s3://bucket", "s3://bucket/");
    let alias = AssetRef::Alias { name: "alias".to_owned() };
    let either = AssetCondition::Any {
        of: vec![one(AssetRef::Asset(bucket.clone())), one(AssetRef::Name { name: "by name".to_owned() })],
    };
    let both = AssetCondition::All { of: vec![one(AssetRef::Asset(orders.clone())), either] };
    let condition = AssetCondition::Any { of: vec![both, one(alias.clone())] };
    assert_eq!(dag.timetable, Timetable::Assets { condition });
    assert_eq!(dag.schedule_text.as_deref(), Some("(orders & (s3://bucket | by name)) | alias"));
    let makes = task(&dag, "makes");
    assert_eq!(makes.outlets, [named("made"), alias, AssetRef::Uri { uri: "s3://bucket/".to_owned() }]);
    assert_eq!(makes.inlets, [AssetRef::Asset(orders.clone())], "an XCom is no asset");
    let plain = |key| Asset { key, group: "asset".to_owned(), extra: json!({}) };
    let orders = Asset { key: orders, group: "sales".to_owned(), extra: json!({"owner": {"team": "a"}}) };
    assert_eq!(dag.assets, [plain(key("made", "made")), orders, plain(bucket)]);
}

#[test]
fn asset_schedules_may_go_with_time() {
    let asset = AssetRef::Asset(key("s3://bucket/key", "s3://bucket/key"));
    let condition = || AssetCondition::All { of: vec![AssetCondition::One { asset: asset.clone() }] };
    let dag = quiet("schedule_asset");
    assert_eq!(dag.timetable, Timetable::Assets { condition: condition() });
    assert_eq!(dag.schedule_text.as_deref(), Some("s3://bucket/key"));
    let dag = quiet("schedule_asset_or_time");
    let cron = Timetable::CronTrigger {
        cron: "0 0 * * *".to_owned(),
        timezone: "UTC".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    assert_eq!(dag.timetable, Timetable::AssetOrTime { timetable: Box::new(cron), condition: condition() });
    assert_eq!(dag.schedule_text.as_deref(), Some("0 0 * * * or s3://bucket/key"));
    assert_eq!(dag.assets.len(), 1);

    let mut serialized = fixture("schedule_asset");
    let asset = serialized.pointer_mut("/dag/timetable/__var/asset_condition/objects/0").unwrap();
    asset["watchers"] = json!([{"name": "w", "trigger": {"classpath": "x.Y", "kwargs": {}}}]);
    let warnings = convert(&serialized, "x.py").unwrap().warnings;
    assert!(warnings[0].contains("\"s3://bucket/key\" has watchers, which are not supported"), "{warnings:?}");
    serialized["dag"]["timetable"]["__var"]["asset_condition"]["objects"] = json!([]);
    let warnings = convert(&serialized, "x.py").unwrap().warnings;
    assert_eq!(warnings, ["its schedule names no asset: no update of an asset starts it"]);
    serialized["dag"]["timetable"]["__var"]["asset_condition"] = json!({"__type": "asset_none"});
    let error = convert(&serialized, "x.py").unwrap_err().message;
    assert!(error.contains("the asset schedule holds {\"__type\":\"asset_none\"}, which is no asset"), "{error}");
}

#[test]
fn callbacks_and_e_mails_are_known() {
    let dag = quiet("callbacks");
    assert!(dag.on_success_callback && dag.on_failure_callback);
    for (id, told) in [
        ("by_email", (true, true)),
        ("no_email", (false, false)),
        ("only_failure", (true, false)),
        ("only_retry", (false, true)),
        ("none_of_both", (false, false)),
        ("by_callback", (true, true)),
        ("waits", (false, false)),
    ] {
        let task = task(&dag, id);
        assert_eq!((task.on_failure_callback, task.on_retry_callback), told, "{id}");
        assert_eq!(task.wait_for_past_depends_before_skipping, id == "waits");
    }
    let other = quiet("defaults");
    assert!(!other.on_success_callback && !other.on_failure_callback);
}

#[test]
fn deadlines_are_kept_or_reported() {
    let Converted { spec: dag, warnings } = converted("deadlines");
    let found: Vec<_> = dag
        .deadlines
        .iter()
        .map(|deadline| (deadline.name.as_deref(), deadline.reference.clone(), deadline.interval_micros))
        .collect();
    assert_eq!(
        found,
        [
            (Some("logical"), DeadlineReference::LogicalDate, 3_600_000_000),
            (Some("queued"), DeadlineReference::QueuedAt, -1_500_000),
            (Some("fixed"), DeadlineReference::Fixed { at: "2026-01-01T00:00:00Z".parse().unwrap() }, 172_800_000_000),
            (Some("average"), DeadlineReference::AverageRuntime { max_runs: 5, min_runs: 2 }, 0),
            (None, DeadlineReference::AverageRuntime { max_runs: 10, min_runs: 10 }, 60_000_000),
        ]
    );
    assert_eq!(
        dag.deadlines[0].callback,
        json!({
            "__classname__": "airflow.sdk.definitions.callback.AsyncCallback",
            "__version__": 0,
            "__data__": {"path": "team.calls.late", "kwargs": {"text": "too late"}}
        })
    );
    assert_eq!(
        warnings,
        [
            "the deadline \"variable\" is not watched: its interval is the variable \"wait\", which is not supported; give \
             a timedelta"
        ]
    );
    let mut serialized = fixture("deadlines");
    serialized["dag"]["deadline"][0]["reference"] = json!({"reference_type": "Mine", "__class_path": "team.Mine"});
    let Converted { spec, warnings } = convert(&serialized, "x.py").unwrap();
    assert_eq!(spec.deadlines.len(), 4);
    assert!(
        warnings[0].starts_with("the deadline \"logical\" is not watched: its reference Mine is a class"),
        "{warnings:?}"
    );
}

#[test]
fn markers_name_what_depends_on_them() {
    let Converted { spec: dag, warnings } = converted("markers");
    let marker = |id: &str| {
        let marker = task(&dag, id).marker.clone()?;
        Some((marker.dag_id.to_string(), marker.task_id.unwrap().to_string(), marker.recursion_depth))
    };
    assert_eq!(marker("default"), Some(("child".to_owned(), "first".to_owned(), 10)));
    assert_eq!(marker("shallow"), Some(("child".to_owned(), "first".to_owned(), 3)));
    assert_eq!(marker("templated"), None);
    assert_eq!(task(&dag, "default").operator, Operator::Empty);
    assert_eq!(
        warnings,
        ["the marker \"templated\" names its target by a template, so clearing it does not clear the target"]
    );
}

#[test]
fn tasks_speak_to_tradewind_by_their_executor_config() {
    let dag = quiet("limits");
    assert_eq!(dag.task_limit, Some(4), "the smallest counts");
    let limits = |id: &str| -> Vec<(String, u32)> {
        task(&dag, id).concurrency.iter().map(|limit| (limit.key.clone(), limit.limit)).collect()
    };
    assert_eq!(limits("default"), []);
    assert_eq!(limits("one"), [("db".to_owned(), 2)]);
    assert_eq!(limits("two"), [("db".to_owned(), 2), ("api".to_owned(), 1)]);
    assert_eq!(quiet("defaults").task_limit, None);

    let wrong = |config: Value| {
        let mut serialized = fixture("limits");
        serialized["dag"]["tasks"][1]["__var"]["executor_config"] =
            json!({"__type": "dict", "__var": {"tradewind": config}});
        convert(&serialized, "x.py").unwrap_err().message
    };
    assert_eq!(
        wrong(json!({"__type": "dict", "__var": {"concurency": 1}})),
        "DAG \"limits\": the task \"one\": executor_config[\"tradewind\"][\"concurency\"] is unknown (did you mean \
         \"concurrency\"?)"
    );
    assert_eq!(
        wrong(json!({"dag_task_limit": 0})),
        "DAG \"limits\": the task \"one\": executor_config[\"tradewind\"][\"dag_task_limit\"] is 0, not a whole number of at \
         least 1"
    );
    for (config, message) in [
        (json!({"color": 1}), "[\"color\"] is unknown; the keys are concurrency, dag_task_limit"),
        (json!(5), "executor_config[\"tradewind\"] is 5, not a dict"),
        (
            json!({"concurrency": {"key": "a"}}),
            "[\"concurrency\"] is {\"key\":\"a\"}, not {\"key\": ..., \"limit\": ...}",
        ),
        (json!({"concurrency": {"key": "a", "limit": 0}}), "[\"concurrency\"] has the limit 0 for \"a\""),
        (json!({"concurrency": {"key": " ", "limit": 1}}), "[\"concurrency\"] has an empty key"),
        (
            json!({"concurrency": [{"key": "a", "limit": 1}, {"key": "a", "limit": 2}]}),
            "[\"concurrency\"] names the key \"a\" twice",
        ),
    ] {
        let found = wrong(config);
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn a_strategy_of_one_s_own_gives_the_weight_where_it_was_asked() {
    let mut serialized = fixture("every_field");
    let load =
        serialized["dag"]["tasks"].as_array().unwrap().iter().position(|task| task["__var"]["task_id"] == "load");
    serialized["dag"]["tasks"][load.unwrap()]["__var"]["weight_rule"] = json!("team.Urgent");
    let weight = |serialized: &Value| {
        let Converted { spec, warnings } = convert(serialized, "x.py").unwrap();
        assert_eq!(warnings.len(), 1);
        let load = task(&spec, "load");
        (load.priority_weight, load.weight_rule, warnings[0].clone())
    };
    let (own, rule, warning) = weight(&serialized);
    assert_eq!((own, rule), (1, WeightRule::Absolute));
    assert_eq!(
        warning,
        "the priority strategy team.Urgent of the task \"load\" could not be asked: the task's own weight counts"
    );
    serialized["priority_weights"] = json!({"load": 42});
    let (asked, rule, warning) = weight(&serialized);
    assert_eq!((asked, rule), (42, WeightRule::Absolute));
    assert!(warning.contains("was asked once, while the file was parsed"), "{warning}");
}
