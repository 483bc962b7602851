//! Triggers in host processes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tradewind_guest::*;

use crate::support::*;

fn settings() -> TriggerProcessSettings {
    TriggerProcessSettings {
        bundle: Some((dags(), "dags".to_owned(), String::new())),
        block_warning: Duration::from_millis(500),
        block_limit: Duration::from_secs(2),
        ..TriggerProcessSettings::default()
    }
}

async fn process() -> TriggerProcess {
    zygote().await.start_triggers(settings()).await.expect("a process")
}

fn trigger(class: &str, kwargs: Value) -> TriggerLaunch {
    TriggerLaunch {
        about: launch("waits", "defers"),
        class: class.to_owned(),
        kwargs,
        timeout_at: None,
        template: false,
    }
}

async fn run(process: &TriggerProcess, class: &str, kwargs: Value, host: &Arc<MemoryHost>) -> TriggerEnd {
    let (_stopper, control) = TaskControl::new();
    process.run(trigger(&format!("own_triggers.{class}"), kwargs), host.clone(), control).await
}

#[test]
fn an_event_comes_with_the_log_and_the_answers_of_its_own_attempt() {
    on_runtime(async {
        let process = process().await;
        let (one, two) = (MemoryHost::new(), MemoryHost::new());
        one.put_variable("greeting", "hello");
        two.put_variable("greeting", "moin");
        let (first, second) =
            tokio::join!(run(&process, "Echo", json!({"n": 1}), &one), run(&process, "Echo", json!({"n": 2}), &two));
        assert_eq!(first, TriggerEnd::Fired { event: json!({"value": "hello", "n": 1}) });
        assert_eq!(second, TriggerEnd::Fired { event: json!({"value": "moin", "n": 2}) });
        for host in [&one, &two] {
            let text = host.text();
            assert!(text.contains("echo in") && text.contains("Trigger fired event"), "{text}");
            assert!(host.lines().iter().all(|line| !line.fields.contains_key("trigger_id")));
        }
        assert_eq!(one.lines().iter().filter(|line| line.message.contains("echo in")).count(), 1, "its own only");
        let pid =
            |host: &MemoryHost| host.lines().into_iter().find(|line| line.message.contains("echo in")).unwrap().message;
        assert_eq!(pid(&one), pid(&two), "both ran in one process");
    });
}

#[test]
fn a_task_can_be_ended_by_its_trigger() {
    on_runtime(async {
        let end = run(&process().await, "Ends", json!({}), &MemoryHost::new()).await;
        let xcoms = vec![("return_value".to_owned(), json!([1, 2]))];
        assert_eq!(end, TriggerEnd::Ended { state: "success".to_owned(), xcoms });
    });
}

#[test]
fn failures_carry_their_traceback() {
    on_runtime(async {
        let process = process().await;
        for (class, expected, can_be_made) in [
            ("Raises", "RuntimeError: in the middle", true),
            ("Unmakeable", "ValueError: cannot be made", false),
            ("Missing", "Missing", false),
        ] {
            let end = run(&process, class, json!({}), &MemoryHost::new()).await;
            let TriggerEnd::Failed { error, summary, traceback, made } = end else { panic!("{end:?}") };
            assert_eq!((error.as_str(), made), ("Trigger failure", can_be_made));
            assert!(summary.contains(expected) && traceback.join("\n").contains(expected), "{summary}");
        }
    });
}

#[test]
fn a_cancelled_trigger_cleans_up_and_its_end_says_why() {
    on_runtime(async {
        let process = process().await;
        for reason in [StopReason::Cancelled, StopReason::Shutdown] {
            let host = MemoryHost::new();
            let (stopper, control) = TaskControl::new();
            let stop = async {
                host.wait_for_line("waiting").await;
                stopper.stop(reason, Duration::from_secs(10));
            };
            let launch = trigger("own_triggers.Forever", json!({}));
            let (end, ()) = tokio::join!(process.run(launch, host.clone(), control), stop);
            assert_eq!(end, TriggerEnd::Stopped(reason));
            assert!(host.text().contains("cleaned up"), "{}", host.text());
        }
        assert_eq!(process.load(), 0);
    });
}

#[test]
fn secrets_are_masked_in_the_log_of_a_trigger() {
    on_runtime(async {
        let host = MemoryHost::new();
        host.put_variable("api_token", "very-secret");
        run(&process().await, "Secretive", json!({}), &host).await;
        assert!(host.text().contains("the word is ***"), "{}", host.text());
    });
}

#[test]
fn a_trigger_that_blocks_the_loop_costs_its_process_and_is_named() {
    on_runtime(async {
        let process = process().await;
        let (innocent, culprit) = (MemoryHost::new(), MemoryHost::new());
        let wait = run(&process, "Forever", json!({}), &innocent);
        let block = async {
            innocent.wait_for_line("waiting").await;
            run(&process, "Blocks", json!({}), &culprit).await
        };
        let (lost, blamed) = tokio::join!(wait, block);
        assert!(matches!(lost, TriggerEnd::Lost { culprit: false, .. }), "{lost:?}");
        assert!(matches!(blamed, TriggerEnd::Lost { culprit: true, .. }), "{blamed:?}");
        assert!(culprit.text().contains("held up the event loop"), "{}", culprit.text());
        assert!(!innocent.text().contains("held up"));
        assert!(!process.is_alive());
        let late = run(&process, "Echo", json!({}), &MemoryHost::new()).await;
        assert!(matches!(late, TriggerEnd::Lost { culprit: false, .. }), "a dead process takes nothing: {late:?}");
    });
}

#[test]
fn a_trigger_whose_native_code_holds_the_interpreter_is_ended_from_outside() {
    on_runtime(async {
        let process = process().await;
        let end = run(&process, "HoldsInterpreter", json!({}), &MemoryHost::new()).await;
        let TriggerEnd::Lost { reason, culprit } = end else { panic!("{end:?}") };
        assert!(reason.contains("native code") && !culprit, "nobody can say who it was: {reason}");
    });
}

#[test]
fn a_thousand_triggers_wait_in_one_process() {
    on_runtime(async {
        let process = Arc::new(process().await);
        let mut waits = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let process = Arc::clone(&process);
            waits.spawn(async move { run(&process, "Waits", json!({"seconds": 2.0}), &MemoryHost::new()).await });
        }
        let mut fired = 0;
        while let Some(end) = waits.join_next().await {
            assert_eq!(end.unwrap(), TriggerEnd::Fired { event: Value::Null });
            fired += 1;
        }
        assert_eq!(fired, 1000);
    });
}

#[test]
fn dropping_the_process_ends_it() {
    on_runtime(async {
        let process = process().await;
        let host = MemoryHost::new();
        run(&process, "Echo", json!({}), &host).await;
        let line = host.lines().into_iter().find(|line| line.message.contains("echo in")).unwrap();
        let pid = last_number(&line.message);
        drop(process);
        wait_until_gone(pid).await;
    });
}
