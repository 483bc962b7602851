//! Stopping tasks from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tradewind_guest::*;

use crate::support::*;

/// Starts a task, waits for a line, stops it.
async fn stop_after(task_id: &str, line: &str, grace: Duration) -> (TaskExit, Arc<MemoryHost>, String) {
    let host = MemoryHost::new();
    let (stopper, control) = TaskControl::new();
    let zygote = zygote().await;
    let running = zygote.run(launch("basics", task_id), host.clone(), control);
    let stop = async {
        let line = host.wait_for_line(line).await;
        stopper.stop(StopReason::Cancelled, grace);
        line
    };
    let (exit, line) = tokio::join!(running, stop);
    (exit.expect("it began"), host.clone(), line)
}

#[test]
fn sigterm_reaches_on_kill() {
    on_runtime(async {
        let (exit, host, _) = stop_after("stoppable", "working", Duration::from_secs(30)).await;
        assert_eq!((exit.exit, exit.stopped), (ProcessExit::Code(7), Some(StopReason::Cancelled)));
        assert!(host.text().contains("on_kill was called"), "{}", host.text());
    });
}

#[test]
fn a_task_that_ignores_sigterm_is_killed_after_its_grace() {
    on_runtime(async {
        let started = Instant::now();
        let (exit, _, _) = stop_after("stubborn", "working", Duration::from_millis(300)).await;
        assert_eq!(exit.exit, ProcessExit::Signal(9));
        assert!(started.elapsed() > Duration::from_millis(300));
    });
}

#[test]
fn a_bash_task_ends_with_its_command() {
    on_runtime(async {
        let (exit, host, line) = stop_after("bash_sleeps", "shell ", Duration::from_secs(30)).await;
        assert_eq!(exit.stopped, Some(StopReason::Cancelled));
        assert!(matches!(exit.outcome, TaskOutcome::Failed { .. }), "{exit:?} {}", host.text());
        wait_until_gone(last_number(&line)).await;
    });
}

#[test]
fn a_kill_reaches_grandchildren_in_other_sessions() {
    on_runtime(async {
        let (exit, _, line) = stop_after("grandchild", "grandchild ", Duration::ZERO).await;
        assert_eq!((exit.exit, exit.reported), (ProcessExit::Signal(9), false));
        wait_until_gone(last_number(&line)).await;
    });
}

#[test]
fn dropping_the_run_kills_the_task() {
    on_runtime(async {
        let host = MemoryHost::new();
        let (_stopper, control) = TaskControl::new();
        let zygote = zygote().await;
        let line = {
            let running = zygote.run(launch("basics", "grandchild"), host.clone(), control);
            tokio::select! {
                exit = running => panic!("it ended: {exit:?}"),
                line = host.wait_for_line("grandchild ") => line,
            }
        };
        wait_until_gone(last_number(&line)).await;
    });
}

/// Starts a zygote and a task in it; returns both and the pid of the task's child.
async fn running_zygote(name: &str) -> (Arc<Zygote>, tokio::task::JoinHandle<Result<TaskExit, GuestError>>, u32) {
    let zygote = Arc::new(Zygote::start(guest_env(name)).await.expect("a zygote"));
    let host = MemoryHost::new();
    let (_stopper, control) = TaskControl::new();
    let running = tokio::spawn({
        let (zygote, host) = (Arc::clone(&zygote), host.clone());
        async move { zygote.run(launch("basics", "grandchild"), host, control).await }
    });
    let pid = last_number(&host.wait_for_line("grandchild ").await);
    (zygote, running, pid)
}

#[test]
fn dropping_the_zygote_ends_it_and_what_runs() {
    on_runtime(async {
        let (zygote, running, pid) = running_zygote("dropped").await;
        let zygote_pid = zygote.pid();
        running.abort();
        let _ = running.await;
        drop(zygote);
        wait_until_gone(pid).await;
        wait_until_gone(zygote_pid).await;
    });
}

#[test]
fn a_stop_before_the_start_stops_too() {
    on_runtime(async {
        let (stopper, control) = TaskControl::new();
        stopper.stop(StopReason::LeaseLost, Duration::ZERO);
        let exit =
            zygote().await.run(launch("basics", "stubborn"), MemoryHost::new(), control).await.expect("it began");
        assert_eq!((exit.exit, exit.stopped), (ProcessExit::Signal(9), Some(StopReason::LeaseLost)));
    });
}
