//! Callbacks: those that run in a task's process, and those that run in one of their own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tradewind_guest::*;

use crate::support::*;

fn callback(kind: &str, dag_id: &str) -> CallbackLaunch {
    let mut about = launch("called_back", "");
    about.dag_id = dag_id.to_owned();
    CallbackLaunch {
        kind: kind.to_owned(),
        about,
        run_state: "failed".to_owned(),
        ti_state: None,
        reason: Some("task_failure".to_owned()),
        spec: Value::Null,
        deadline: json!({"id": "d-1", "deadline_time": "2026-01-02T00:00:00Z"}),
    }
}

async fn run(callback: CallbackLaunch, host: &Arc<MemoryHost>) -> CallbackExit {
    let (_stopper, control) = TaskControl::new();
    zygote().await.run_callback(callback, host.clone(), control).await.expect("the callback begins")
}

fn printed(host: &MemoryHost) -> Vec<String> {
    let lines = host.lines();
    lines.into_iter().filter(|line| line.logger == "task.stdout").map(|line| line.message).collect()
}

#[test]
fn a_dag_callback_gets_its_context() {
    on_runtime(async {
        let host = MemoryHost::new();
        let done = run(callback("dag_success", "called_back"), &host).await;
        assert_eq!(done, CallbackExit { failure: None, stopped: None }, "{}", host.text());
        assert_eq!(printed(&host), ["success task_failure run_1 failed None"]);
        let host = MemoryHost::new();
        let mut with_ti = callback("dag_success", "called_back");
        with_ti.about.task_id = "lost".to_owned();
        run(with_ti, &host).await;
        assert_eq!(printed(&host), ["success task_failure run_1 failed lost"], "{}", host.text());
    });
}

#[test]
fn one_that_raises_fails_and_the_next_still_runs() {
    on_runtime(async {
        let host = MemoryHost::new();
        let done = run(callback("dag_failure", "called_back"), &host).await;
        assert_eq!(done.failure.as_deref(), Some("RuntimeError: the callback is broken"));
        assert_eq!(printed(&host), ["failure task_failure run_1 failed None"], "{}", host.text());
    });
}

#[test]
fn one_that_hangs_is_killed() {
    on_runtime(async {
        let (stopper, control) = TaskControl::new();
        let host = MemoryHost::new();
        let stop = async {
            host.wait_for_line("Executing callback").await;
            stopper.stop(StopReason::HardTimeout, Duration::ZERO);
        };
        let hangs = callback("dag_failure", "hangs");
        let (exit, ()) = tokio::join!(zygote().await.run_callback(hangs, host.clone(), control), stop);
        let exit = exit.unwrap();
        assert_eq!(exit.stopped, Some(StopReason::HardTimeout));
        assert!(exit.failure.is_some_and(|why| why.contains("SIGKILL")));
    });
}

#[test]
fn one_that_ends_its_process_or_whose_dag_is_gone_fails() {
    on_runtime(async {
        let exits = run(callback("dag_failure", "exits"), &MemoryHost::new()).await;
        assert!(exits.failure.is_some_and(|why| why.contains("exit code 9")));
        let gone = run(callback("dag_failure", "gone"), &MemoryHost::new()).await;
        assert!(gone.failure.is_some_and(|why| why.contains("'gone' could not be loaded")));
    });
}

#[test]
fn task_callbacks_and_mails_of_lost_workers_are_made_up_for() {
    on_runtime(async {
        let (address, mut mails) = smtp().await;
        for (kind, well) in [("task_failure", true), ("task_retry", false)] {
            let host = MemoryHost::new();
            host.put_connection(smtp_connection(address));
            let mut lost = callback(kind, "called_back");
            lost.about.task_id = "lost".to_owned();
            lost.about.try_number = 3;
            lost.ti_state = Some("failed".to_owned());
            lost.reason = Some("the worker was lost".to_owned());
            let done = run(lost, &host).await;
            assert_eq!(done.failure.is_none(), well, "{done:?}\n{}", host.text());
            assert_eq!(printed(&host), ["task lost 3 5 the worker was lost"], "{}", host.text());
            let mail = mails.recv().await.unwrap();
            assert!(mail.contains("To: team@example.org") && mail.contains("task_id='lost'"), "{mail}");
        }
    });
}

#[test]
fn deadline_callbacks_are_called_by_path() {
    on_runtime(async {
        let spec = |class: &str, path: &str, kwargs: Value| {
            json!({
                "__classname__": format!("airflow.sdk.definitions.callback.{class}"), "__version__": 0,
                "__data__": {"path": path, "kwargs": kwargs, "executor": null},
            })
        };
        let asynchronous = |path: &str, kwargs: Value| {
            let mut spec = spec("AsyncCallback", path, kwargs);
            spec["__data__"].as_object_mut().unwrap().remove("executor");
            spec
        };
        for (spec, expected) in [
            (spec("SyncCallback", "called_back.late", json!({"text": "x"})), "late x run_1 moin"),
            (
                spec("SyncCallback", "unusual_prefix_0123456789_called_back.late", json!({"text": "y"})),
                "late y run_1 moin",
            ),
            (asynchronous("called_back.late_async", json!({})), "late async d-1"),
            (asynchronous("called_back.no_context", json!({"text": "z"})), "no context z"),
            (spec("SyncCallback", "called_back.Notifier", json!({"text": "hey"})), "notified hey"),
        ] {
            let host = MemoryHost::new();
            host.put_variable("greeting", "moin");
            let done = run(CallbackLaunch { spec, ..callback("deadline", "called_back") }, &host).await;
            assert_eq!(done.failure, None, "{}", host.text());
            assert_eq!(printed(&host), [expected], "{}", host.text());
        }
        let missing = spec("SyncCallback", "called_back.nothing", json!({}));
        let done =
            run(CallbackLaunch { spec: missing, ..callback("deadline", "called_back") }, &MemoryHost::new()).await;
        assert!(done.failure.is_some_and(|why| why.contains("nothing")));
    });
}

async fn of_task(task_id: &str, change: impl FnOnce(&mut TaskLaunch), host: &Arc<MemoryHost>) -> TaskExit {
    let mut task = launch("waits", task_id);
    change(&mut task);
    run_launch(task, host).await
}

#[test]
fn a_tasks_own_callbacks_run_in_its_process() {
    on_runtime(async {
        let host = MemoryHost::new();
        of_task("calls_success", |_| {}, &host).await;
        let expected =
            ["execute: calls_success None", "success: calls_success None", "success too: calls_success None"];
        assert_eq!(printed(&host), expected, "{}", host.text());

        let host = MemoryHost::new();
        let exit = of_task("calls_skipped", |_| {}, &host).await;
        assert_eq!(exit.outcome, TaskOutcome::Skipped);
        assert_eq!(printed(&host).last().unwrap(), "skipped: calls_skipped None", "{}", host.text());
    });
}

#[test]
fn a_failing_task_calls_back_and_sends_a_mail() {
    on_runtime(async {
        let (address, mut mails) = smtp().await;
        for (should_retry, called) in [(false, "failure"), (true, "retry")] {
            let host = MemoryHost::new();
            host.put_connection(smtp_connection(address));
            let change = |task: &mut TaskLaunch| {
                task.should_retry = should_retry;
                task.max_tries = u32::from(should_retry);
            };
            of_task("calls_failure", change, &host).await;
            let text = format!("{called}: calls_failure broken");
            assert!(printed(&host).contains(&text), "{}", host.text());
            let mail = mails.recv().await.unwrap();
            assert!(mail.contains("To: team@example.org") && mail.contains("task_id='calls_failure'"), "{mail}");
        }
    });
}

fn smtp_connection(address: std::net::SocketAddr) -> ConnectionInfo {
    ConnectionInfo {
        conn_id: "smtp_default".to_owned(),
        conn_type: "smtp".to_owned(),
        host: Some(address.ip().to_string()),
        port: Some(i32::from(address.port())),
        extra: Some(
            json!({"disable_ssl": true, "disable_tls": true, "from_email": "tradewind@example.org"}).to_string(),
        ),
        ..ConnectionInfo::default()
    }
}

/// A mail server that takes everything and hands out what it was given.
async fn smtp() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mails, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mails = mails.clone();
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read);
                write.write_all(b"220 ready\r\n").await.unwrap();
                let mut line = String::new();
                while lines.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
                    let answer = match verb.as_str() {
                        "DATA" => {
                            write.write_all(b"354 go on\r\n").await.unwrap();
                            let mut mail = Vec::new();
                            while !mail.ends_with(b"\r\n.\r\n") {
                                mail.push(lines.read_u8().await.unwrap());
                            }
                            mails.send(String::from_utf8_lossy(&mail).into_owned()).unwrap();
                            "250 taken"
                        }
                        "QUIT" => "221 bye",
                        _ => "250 fine",
                    };
                    write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                    line.clear();
                }
            });
        }
    });
    (address, received)
}
