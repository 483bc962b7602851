//! What a task says about itself.

use std::time::Duration;

use serde_json::json;
use tradewind_guest::*;

use crate::support::*;

#[test]
fn a_bash_task_renders_its_template_and_pushes_its_last_line() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("bash", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{exit:?}\n{}", host.text());
        assert_eq!((exit.exit, exit.reported), (ProcessExit::Code(0), true));
        assert_eq!(host.result("bash"), Some(json!("2026-01-02 none seen")));
        assert_eq!(host.rendered()["bash_command"], "echo 2026-01-02 none $VISIBLE");
        assert!(exit.usage.max_rss_bytes > 1 << 20 && !exit.usage.user.is_zero());
    });
}

#[test]
fn bash_does_not_take_itself_for_a_login_shell() {
    on_runtime(async {
        let host = MemoryHost::new();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".bashrc"), "echo bashrc was run").unwrap();
        let env = vec![("HOME".to_owned(), home.path().display().to_string())];
        run_launch(TaskLaunch { env, ..launch("basics", "bash") }, &host).await;
        assert!(!host.text().contains("bashrc was run"), "{}", host.text());
    });
}

#[test]
fn run_conf_becomes_params() {
    on_runtime(async {
        let host = MemoryHost::new();
        let task = TaskLaunch { conf: json!({"x": "from conf"}), ..launch("basics", "bash") };
        run_launch(task, &host).await;
        assert_eq!(host.result("bash"), Some(json!("2026-01-02 from conf seen")));
    });
}

#[test]
fn python_tasks_hand_values_over() {
    on_runtime(async {
        let host = MemoryHost::new();
        run("push", &host).await;
        assert_eq!(host.result("push"), Some(json!({"answer": 42})));
        run("pull", &host).await;
        assert_eq!(host.result("pull"), Some(json!("ä")), "{}", host.text());
    });
}

#[test]
fn taskflow_hands_values_over() {
    on_runtime(async {
        let host = MemoryHost::new();
        run("produce", &host).await;
        run("total", &host).await;
        assert_eq!(host.result("total"), Some(json!(6)), "{}", host.text());
    });
}

#[test]
fn a_task_imports_modules_beside_its_dag_file() {
    on_runtime(async {
        let host = MemoryHost::new();
        run("sibling", &host).await;
        assert_eq!(host.result("sibling"), Some(json!("hello from a sibling")));
    });
}

#[test]
fn branching_names_what_to_skip() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("branch", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        assert_eq!(exit.skipped_downstream, [("right".to_owned(), -1)]);
        assert!(host.xcom("branch", "skipmixin_key").is_some());
    });
}

#[test]
fn a_short_circuit_names_what_to_skip() {
    on_runtime(async {
        let exit = run("short", &MemoryHost::new()).await;
        assert_eq!(exit.skipped_downstream, [("cut_off".to_owned(), -1)]);
    });
}

#[test]
fn a_skip_is_a_skip() {
    on_runtime(async {
        assert_eq!(run("skip", &MemoryHost::new()).await.outcome, TaskOutcome::Skipped);
    });
}

#[test]
fn a_failure_without_retries_is_final_and_says_why() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("fail", &host).await;
        let message = Some("ValueError: broken".to_owned());
        assert_eq!(exit.outcome, TaskOutcome::Failed { retry: false, retry_delay: None, message });
        assert!(host.text().contains("ValueError: broken"), "{}", host.text());
        assert_eq!(host.early(), Some(exit.outcome));
    });
}

#[test]
fn a_failure_with_retries_asks_for_one() {
    on_runtime(async {
        let task = TaskLaunch { max_tries: 2, should_retry: true, ..launch("basics", "fail") };
        let exit = run_launch(task, &MemoryHost::new()).await;
        assert!(matches!(exit.outcome, TaskOutcome::Failed { retry: true, .. }), "{exit:?}");
    });
}

#[test]
fn a_fail_exception_wants_no_retry() {
    on_runtime(async {
        let task = TaskLaunch { max_tries: 2, should_retry: true, ..launch("basics", "fail_for_good") };
        let exit = run_launch(task, &MemoryHost::new()).await;
        assert!(matches!(exit.outcome, TaskOutcome::Failed { retry: false, .. }), "{exit:?}");
    });
}

#[test]
fn a_failing_command_fails_the_task_with_its_output_in_the_log() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("bash_fails", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Failed { .. }), "{exit:?}");
        assert!(host.text().contains("before") && host.text().contains("exit code 3"), "{}", host.text());
    });
}

#[test]
fn an_execution_timeout_fails_the_task() {
    on_runtime(async {
        let exit = run("too_slow", &MemoryHost::new()).await;
        let TaskOutcome::Failed { message: Some(message), .. } = exit.outcome else { panic!("{exit:?}") };
        assert!(message.contains("Timeout"), "{message}");
    });
}

#[test]
fn a_sensor_in_reschedule_mode_gives_its_slot_back() {
    on_runtime(async {
        let exit = run("sensor", &MemoryHost::new()).await;
        let TaskOutcome::UpForReschedule { at } = exit.outcome else { panic!("{exit:?}") };
        let wait = at.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((50..=61).contains(&wait), "{wait} s");
    });
}

#[test]
fn a_deferral_is_handed_out_and_resumed() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("deferring", &host).await;
        let TaskOutcome::Deferred { trigger_class, timeout, next_method, next_kwargs, kwargs, .. } = exit.outcome
        else {
            panic!("{exit:?}\n{}", host.text())
        };
        assert!(trigger_class.ends_with("DateTimeTrigger"), "{trigger_class}");
        assert_eq!((timeout, next_method.as_str()), (Some(Duration::from_secs(7200)), "resume"));
        assert!(kwargs.is_object());

        let task = TaskLaunch {
            next_method: Some(next_method),
            next_kwargs: Some(next_kwargs),
            ..launch("basics", "deferring")
        };
        let exit = run_launch(task, &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        assert_eq!(host.result("deferring"), Some(json!("resumed 3 None")));
    });
}

#[test]
fn variables_and_connections_are_answered_and_their_secrets_masked() {
    on_runtime(async {
        let host = MemoryHost::new();
        host.put_variable("greeting", "hello");
        host.put_variable("api_key", "k3y-of-api");
        host.put_connection(ConnectionInfo {
            conn_id: "db".to_owned(),
            conn_type: "postgres".to_owned(),
            host: Some("db.example".to_owned()),
            password: Some("pa55-word".to_owned()),
            ..ConnectionInfo::default()
        });
        let exit = run("settings", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        assert_eq!(host.variable("written").as_deref(), Some("by a task"));
        assert!(host.text().contains("the password is ***"), "{}", host.text());
        assert!(!host.text().contains("pa55-word"));
    });
}

#[test]
fn a_refused_xcom_fails_the_task_with_the_reason_in_its_log() {
    on_runtime(async {
        let host = MemoryHost::with_xcom_limit(1000);
        let exit = run("large", &host).await;
        let TaskOutcome::Failed { message: Some(message), .. } = exit.outcome else { panic!("{exit:?}") };
        assert!(message.contains("XCom of 200002 bytes is too large"), "{message}");
        assert!(host.text().contains("XCom of 200002 bytes is too large"));
    });
}

#[test]
fn a_number_that_json_lacks_is_refused_with_a_reason() {
    on_runtime(async {
        let exit = run("nan", &MemoryHost::new()).await;
        let TaskOutcome::Failed { message: Some(message), .. } = exit.outcome else { panic!("{exit:?}") };
        assert!(message.contains("NaN"), "{message}");
    });
}

#[test]
fn a_task_sees_only_the_environment_that_it_is_given() {
    on_runtime(async {
        let host = MemoryHost::new();
        let task =
            TaskLaunch { env: vec![("GIVEN_SECRET".to_owned(), "yes".to_owned())], ..launch("basics", "environment") };
        run_launch(task, &host).await;
        // CARGO_MANIFEST_DIR and the like are in our environment; a variable with SECRET in its name stands for one.
        assert_eq!(host.result("environment"), Some(json!({"GIVEN_SECRET": "yes", "VISIBLE": "seen"})));
    });
}

#[test]
fn an_unknown_task_fails_and_says_so() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("no_such_task", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Failed { .. }), "{exit:?}");
        assert!(host.text().contains("Task not found"), "{}", host.text());
    });
}
