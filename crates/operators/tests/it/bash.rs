use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tradewind_operators::{Finished, OperatorError};

use crate::support::{Attempt, Worker, until};

fn bash(command: &str) -> Value {
    json!({"kind": "bash", "command": command})
}

fn value(text: &str) -> Result<Finished, OperatorError> {
    Ok(Finished::Success(Some(Value::from(text))))
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie does not run any more.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn the_last_line_is_the_value_and_all_lines_are_logged() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let ended = worker.run(bash("echo one; echo oops >&2; printf 'two \\nthree'"), &attempt).await;
    assert_eq!(ended, value("three"));
    assert_eq!(worker.lines("task.stdout"), ["one", "two ", "three"]);
    assert_eq!(worker.lines("task.stderr"), ["oops"]);
}

#[tokio::test]
async fn exit_codes_fail_and_skip() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let failed = worker.run(bash("exit 3"), &attempt).await.unwrap_err();
    assert_eq!(failed, OperatorError::Failed("the command returned a non-zero exit code 3".to_owned()));
    let skipped = worker.run(bash("exit 99"), &attempt).await.unwrap_err();
    assert!(matches!(skipped, OperatorError::Skipped(_)), "{skipped:?}");
    let own = json!({"kind": "bash", "command": "exit 3", "skip_on_exit_code": [3]});
    assert!(matches!(worker.run(own, &attempt).await, Err(OperatorError::Skipped(_))));
    let killed = worker.run(bash("kill -9 $$"), &attempt).await.unwrap_err();
    assert!(killed.to_string().contains("signal 9"), "{killed}");
}

#[tokio::test]
async fn the_environment_follows_the_rules() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let kept = json!({"kind": "bash", "command": "echo $GREETING $NAME $AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_TRY_NUMBER $AIRFLOW_CTX_DAG_OWNER $AIRFLOW_CTX_LOGICAL_DATE", "env": {"NAME": "{{ ds }}"}});
    assert_eq!(worker.run(kept, &attempt).await, value("hello 2026-03-04 sales 2 data-team 2026-03-04T00:00:00+00:00"));
    let alone = json!({"kind": "bash", "append_env": false, "env": {"NAME": "x"},
        "command": "echo \"${GREETING-unset} $NAME ${AIRFLOW_CTX_TASK_ID}\""});
    assert_eq!(worker.run(alone, &attempt).await, value("unset x load"));
}

#[tokio::test]
async fn the_working_folder_is_the_given_one_or_a_fresh_one() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let Ok(Finished::Success(Some(Value::String(folder)))) = worker.run(bash("touch x; pwd"), &attempt).await else {
        panic!("it failed");
    };
    assert!(Path::new(&folder).starts_with(attempt.scratch.path().canonicalize().unwrap()));
    until("the folder is gone", || !Path::new(&folder).exists()).await;

    let given = attempt.scratch.path().canonicalize().unwrap().display().to_string();
    let own = json!({"kind": "bash", "command": "pwd", "cwd": given});
    assert_eq!(worker.run(own, &attempt).await, value(&given));
    let missing = json!({"kind": "bash", "command": "pwd", "cwd": "/does/not/exist"});
    let error = worker.run(missing, &attempt).await.unwrap_err();
    assert!(error.to_string().starts_with("cwd: /does/not/exist"), "{error}");
}

#[tokio::test]
async fn a_value_over_the_limit_names_the_option() {
    let worker = Worker::new();
    let attempt = Attempt::new().with(|ctx| ctx.xcom_max_bytes = 64);
    let error = worker.run(bash("printf %100s x | tr ' ' y"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("xcom.inline_max_bytes"), "{error}");
    let quiet = attempt.with(|ctx| std::sync::Arc::make_mut(&mut ctx.task).do_xcom_push = false);
    let ended = worker.run(bash("printf %100s x | tr ' ' y"), &quiet).await;
    assert_eq!(ended, Ok(Finished::Success(None)));
}

/// Starts children of all kinds: in the group, in a session of their own, deaf to SIGTERM.
const FAMILY: &str = "trap '' TERM
sleep 1000 & echo $!
setsid bash -c 'trap \"\" TERM; echo $$; sleep 1000; true' &
echo $$
wait; wait; sleep 1000";

#[tokio::test]
async fn a_stop_ends_the_whole_family() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let task = worker.run(bash(FAMILY), &attempt);
    let stop = async {
        until("three pids are logged", || worker.lines("task.stdout").len() == 3).await;
        let pids = worker.lines("task.stdout");
        assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
        assert_eq!(worker.state.lock().unwrap().groups.len(), 1);
        attempt.stopper.stop(Duration::from_millis(50));
        pids
    };
    let (ended, pids) = tokio::join!(task, stop);
    assert_eq!(ended, Err(OperatorError::Stopped));
    for pid in &pids {
        until("the process is gone", || !runs(pid)).await;
    }
    assert!(worker.state.lock().unwrap().groups.is_empty());
}

#[tokio::test]
async fn a_stop_gives_time_to_clean_up_and_can_be_hurried() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let command = "trap 'echo cleaned; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let stop = async {
        until("it is up", || worker.lines("task.stdout") == ["up"]).await;
        attempt.stopper.stop(Duration::from_secs(600));
    };
    let (ended, ()) = tokio::join!(worker.run(bash(command), &attempt), stop);
    assert_eq!(ended, Err(OperatorError::Stopped));
    assert_eq!(worker.lines("task.stdout"), ["up", "cleaned"]);

    let (worker, attempt) = (Worker::new(), Attempt::new());
    let stop = async {
        until("it is up", || worker.lines("task.stdout").len() == 3).await;
        attempt.stopper.stop(Duration::from_secs(600));
        attempt.stopper.stop(Duration::ZERO);
    };
    let (ended, ()) = tokio::join!(worker.run(bash(FAMILY), &attempt), stop);
    assert_eq!(ended, Err(OperatorError::Stopped));
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_in_its_group() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    {
        let task = worker.run(bash("sleep 1000 & echo $!; echo $$; wait"), &attempt);
        let started = until("two pids are logged", || worker.lines("task.stdout").len() == 2);
        tokio::select! {
            _ = task => panic!("it ended"),
            () = started => {}
        }
    }
    for pid in worker.lines("task.stdout") {
        until("the process is gone", || !runs(&pid)).await;
    }
}

#[tokio::test]
async fn what_a_command_leaves_in_its_group_is_killed_at_its_end() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let ended = worker.run(bash("sleep 1000 >/dev/null 2>&1 & echo $!"), &attempt).await;
    let Ok(Finished::Success(Some(Value::String(pid)))) = ended else {
        panic!("{ended:?}");
    };
    until("the process is gone", || !runs(&pid)).await;
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let error = worker.run(bash("echo \0"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
    let long = json!({"kind": "bash", "command": "x".repeat(200_000)});
    let error = worker.run(long, &attempt).await.unwrap_err();
    assert!(error.to_string().contains("larger than the system allows"), "{error}");
}
