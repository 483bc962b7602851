//! Tasks that defer themselves, ask people, update assets, are mapped, or have a retry policy.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tradewind_guest::*;

use crate::support::*;

async fn run_with(task_id: &str, change: impl FnOnce(&mut TaskLaunch)) -> (TaskExit, Arc<MemoryHost>) {
    let host = MemoryHost::new();
    let mut task = launch("waits", task_id);
    change(&mut task);
    let exit = run_launch(task, &host).await;
    (exit, host)
}

#[test]
fn a_deferred_task_resumes_with_its_arguments_and_the_event() {
    on_runtime(async {
        let (exit, host) = run_with("defers", |_| {}).await;
        let TaskOutcome::Deferred { trigger_class, kwargs, timeout, next_method, next_kwargs, .. } = exit.outcome
        else {
            panic!("{:?}\n{}", exit.outcome, host.text())
        };
        assert_eq!((trigger_class.as_str(), next_method.as_str()), ("own_triggers.Waits", "go_on"));
        assert_eq!(timeout, Some(Duration::from_secs(90)));

        let process = zygote().await.start_triggers(TriggerProcessSettings {
            bundle: Some((dags(), "dags".to_owned(), String::new())),
            ..TriggerProcessSettings::default()
        });
        let (_stopper, control) = TaskControl::new();
        let about = launch("waits", "defers");
        let trigger = TriggerLaunch { about, class: trigger_class, kwargs, timeout_at: None, template: false };
        let end = process.await.unwrap().run(trigger, MemoryHost::new(), control).await;
        let TriggerEnd::Fired { event } = end else { panic!("{end:?}") };

        let mut next_kwargs = next_kwargs;
        next_kwargs["event"] = event;
        let resume = |task: &mut TaskLaunch| {
            task.next_method = Some(next_method);
            task.next_kwargs = Some(next_kwargs);
        };
        let (_, host) = run_with("defers", resume).await;
        let expected = json!([3600.0, "2026-01-02T00:00:00+00:00"]);
        assert_eq!(host.result("defers"), Some(expected), "{}", host.text());
    });
}

#[test]
fn a_failed_wait_fails_the_task_with_the_triggers_traceback() {
    on_runtime(async {
        let fail = |task: &mut TaskLaunch| {
            task.next_method = Some("__fail__".to_owned());
            task.next_kwargs = Some(json!({"error": "Trigger failure", "traceback": ["line one", "line two"]}));
        };
        let (exit, host) = run_with("defers", fail).await;
        let TaskOutcome::Failed { message, .. } = exit.outcome else { panic!("{exit:?}") };
        assert_eq!(message.as_deref(), Some("TaskDeferralError: Trigger failure"));
        assert!(host.text().contains("line one") && host.text().contains("line two"), "{}", host.text());
    });
}

#[test]
fn a_wait_for_a_moment_is_told_exactly() {
    on_runtime(async {
        let (exit, host) = run_with("until", |_| {}).await;
        let TaskOutcome::Deferred { trigger_class, kwargs, .. } = exit.outcome else { panic!("{}", host.text()) };
        assert_eq!(trigger_class, "airflow.providers.standard.triggers.temporal.DateTimeTrigger");
        let moment = &kwargs["moment"]["__data__"]["timestamp"];
        assert_eq!(moment.as_f64().map(|at| (at * 1e6).round()), Some(1_927_850_706_789_012.0), "{kwargs}");
        assert_eq!(kwargs["end_from_trigger"], false);
    });
}

#[test]
fn a_person_is_asked_before_the_task_waits() {
    on_runtime(async {
        let (exit, host) = run_with("approve", |_| {}).await;
        let TaskOutcome::AwaitingInput { timeout, next_method, next_kwargs } = exit.outcome else {
            panic!("{:?}\n{}", exit.outcome, host.text())
        };
        assert_eq!((timeout, next_method.as_str()), (Some(Duration::from_secs(30)), "execute_complete"));
        let question = host.question().expect("it asked");
        assert_eq!((question.subject.as_str(), question.options.len()), ("Go?", 2));
        assert_eq!(question.defaults, Some(vec!["Reject".to_owned()]));

        let mut kwargs = if next_kwargs.is_null() { json!({}) } else { next_kwargs };
        kwargs["event"] = json!({
            "chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "a", "name": "a"},
            "responded_at": {
                "__classname__": "datetime.datetime", "__version__": 2,
                "__data__": {"timestamp": 1.5, "tz": {"__classname__": "builtins.tuple", "__version__": 1,
                    "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, true]}},
            },
            "timedout": false,
        });
        let resume = |task: &mut TaskLaunch| {
            task.next_method = Some(next_method);
            task.next_kwargs = Some(kwargs);
        };
        let (exit, host) = run_with("approve", resume).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        assert_eq!(host.result("approve").unwrap()["chosen_options"], json!(["Approve"]));
    });
}

#[test]
fn a_retry_policy_decides() {
    on_runtime(async {
        let may_retry = |task: &mut TaskLaunch| (task.should_retry, task.max_tries) = (true, 2);
        let outcome = |exit: TaskExit| match exit.outcome {
            TaskOutcome::Failed { retry, retry_delay, message } => (retry, retry_delay, message.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        let (retry, delay, _) = outcome(run_with("policy_fail", may_retry).await.0);
        assert_eq!((retry, delay), (false, None));
        let (retry, delay, message) = outcome(run_with("policy_retry", may_retry).await.0);
        assert_eq!((retry, delay, message.as_str()), (true, Some(Duration::from_millis(7500)), "wait a bit"));
        let (retry, delay, _) = outcome(run_with("policy_default", may_retry).await.0);
        assert_eq!((retry, delay), (true, None));
        let (retry, ..) = outcome(run_with("policy_default", |_| {}).await.0);
        assert!(!retry, "the rule of the task stands where the policy has no opinion");
    });
}

#[test]
fn outlets_and_their_events_are_reported() {
    on_runtime(async {
        let (exit, host) = run_with("updates", |_| {}).await;
        let TaskOutcome::Success { task_outlets, outlet_events } = exit.outcome else { panic!("{}", host.text()) };
        let outlet = |name: &str, uri: Value, kind: &str| json!({"name": name, "uri": uri, "type": kind});
        assert_eq!(task_outlets[0], outlet("a", json!("s3://bucket/a"), "Asset"));
        assert_eq!((&task_outlets[1]["name"], &task_outlets[1]["type"]), (&json!("x"), &json!("AssetAlias")));
        let events = outlet_events.as_array().unwrap();
        let of = |name: &str| events.iter().find(|event| event["dest_asset_key"]["name"] == name).unwrap();
        assert_eq!(of("a")["extra"], json!({"rows": 3, "more": true}));
        assert_eq!((&of("b")["extra"], &of("b")["source_alias_name"]), (&json!({"n": 1}), &json!("x")));
        assert_eq!(host.result("updates"), Some(json!([{"old": 1}])), "{}", host.text());
    });
}

#[test]
fn consumed_events_are_in_the_context() {
    on_runtime(async {
        let event = AssetEventInfo {
            id: 4,
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            asset: AssetInfo { name: "a".into(), uri: "s3://bucket/a".into(), group: "asset".into(), extra: json!({}) },
            extra: json!({"rows": 3}),
            source: Some(("d".to_owned(), "r".to_owned(), "maker".to_owned(), -1)),
            aliases: vec!["x".to_owned()],
        };
        let (_, host) = run_with("consumed", |task| {
            task.consumed_events = vec![event];
            task.run_type = "asset_triggered".to_owned();
        })
        .await;
        let expected = json!([["a", {"rows": 3}, "maker", ["x"]]]);
        assert_eq!(host.result("consumed"), Some(expected), "{}", host.text());
    });
}

#[test]
fn kept_values_earlier_instances_and_dags_can_be_asked_for() {
    on_runtime(async {
        let (_, host) = run_with("asks", |_| {}).await;
        let expected = json!({
            "kept": {"n": 1},
            "missing": null,
            "previous": ["run_0", "success", 1.5],
            "breadcrumbs": [{"task_id": "asks", "map_index": -1, "state": "success", "operator": "Op", "duration": 1.5}],
            "dag": ["team"],
        });
        assert_eq!(host.result("asks"), Some(expected), "{}", host.text());
    });
}

#[test]
fn mapped_instances_get_their_element_and_name_themselves() {
    on_runtime(async {
        let (exit, host) = run_with("mapped", |task| task.map_index = 1).await;
        assert_eq!(host.result("mapped"), Some(json!(20)), "{}", host.text());
        let label = exit.rendered_map_index.or_else(|| host.rendered_map_index());
        assert_eq!(label.as_deref(), Some("number 20"));
    });
}

#[test]
fn what_tasks_are_mapped_over_is_pushed_with_its_length() {
    on_runtime(async {
        let (_, host) = run_with("lengthy", |_| {}).await;
        assert_eq!(host.mapped_length(), Some(3), "{}", host.text());
    });
}
