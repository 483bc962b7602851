//! Processes that end without a word.

use tradewind_guest::*;

use crate::support::*;

async fn lost(task_id: &str) -> (TaskExit, String) {
    let host = MemoryHost::new();
    let task = TaskLaunch { max_tries: 1, should_retry: true, ..launch("basics", task_id) };
    let exit = run_launch(task, &host).await;
    assert!(!exit.reported, "{exit:?}");
    let TaskOutcome::Failed { retry: true, message: Some(message), .. } = &exit.outcome else { panic!("{exit:?}") };
    assert!(host.text().contains(message.as_str()), "the log ends with the reason: {}", host.text());
    (exit.clone(), message.clone())
}

#[test]
fn exit_0_without_a_report_is_a_failure() {
    on_runtime(async {
        let (exit, message) = lost("exit_0").await;
        assert_eq!(exit.exit, ProcessExit::Code(0));
        assert!(message.contains("exit code 0 without saying"), "{message}");
    });
}

#[test]
fn another_exit_code_is_a_failure() {
    on_runtime(async {
        assert_eq!(lost("exit_3").await.0.exit, ProcessExit::Code(3));
    });
}

#[test]
fn sys_exit_is_an_ordinary_failure() {
    on_runtime(async {
        let exit = run("sys_exit", &MemoryHost::new()).await;
        assert!(exit.reported && matches!(exit.outcome, TaskOutcome::Failed { .. }), "{exit:?}");
    });
}

#[test]
fn a_killed_process_is_a_failure() {
    on_runtime(async {
        let (exit, message) = lost("kill_9").await;
        assert_eq!(exit.exit, ProcessExit::Signal(9));
        assert!(message.contains("was killed") && message.contains("MiB"), "{message}");
    });
}

#[test]
fn a_crash_in_native_code_is_a_failure_and_not_an_endless_loop() {
    on_runtime(async {
        assert_eq!(lost("segfault").await.0.exit, ProcessExit::Signal(11));
    });
}

#[test]
fn garbage_on_the_request_socket_kills_the_task() {
    on_runtime(async {
        let (exit, message) = lost("garbage").await;
        assert_eq!(exit.exit, ProcessExit::Signal(9));
        assert!(message.contains("4294967295 bytes"), "{message}");
    });
}

#[test]
fn what_a_task_leaves_behind_is_killed() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("leftover", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        let pid = last_number(&host.wait_for_line("grandchild ").await);
        wait_until_gone(pid).await;
    });
}

#[test]
fn the_death_of_the_zygote_takes_its_tasks_with_it_and_is_reported() {
    on_runtime(async {
        let zygote = Zygote::start(guest_env("doomed")).await.expect("a zygote");
        let host = MemoryHost::new();
        let (_stopper, control) = TaskControl::new();
        let running = zygote.run(launch("basics", "grandchild"), host.clone(), control);
        let murder = async {
            let pid = last_number(&host.wait_for_line("grandchild ").await);
            let zygote = rustix::process::Pid::from_raw(i32::try_from(zygote.pid()).unwrap()).unwrap();
            rustix::process::kill_process(zygote, rustix::process::Signal::KILL).unwrap();
            pid
        };
        let (exit, grandchild) = tokio::join!(running, murder);
        let exit = exit.expect("it had begun");
        assert_eq!((exit.exit, exit.reported), (ProcessExit::ZygoteLost, false));
        assert!(!zygote.is_alive());
        wait_until_gone(grandchild).await;
        let (_stopper, control) = TaskControl::new();
        let next = zygote.run(launch("basics", "nothing"), host, control).await;
        assert!(matches!(next, Err(GuestError::ZygoteLost(_))), "{next:?}");
    });
}

#[test]
fn a_missing_interpreter_is_a_clear_error() {
    on_runtime(async {
        let env = GuestEnv { python: "/nonexistent/python".into(), ..guest_env("missing") };
        let error = Zygote::start(env).await.expect_err("there is no such interpreter").to_string();
        assert!(error.contains("/nonexistent/python"), "{error}");
    });
}

#[test]
fn an_interpreter_without_the_sdk_is_a_clear_error() {
    on_runtime(async {
        // Not the prepared environment's own, which knows the package by itself.
        let env = GuestEnv { python: "python3".into(), guest_package_dir: "/nonexistent".into(), ..guest_env("bare") };
        let error = Zygote::start(env).await.expect_err("there is no package").to_string();
        assert!(error.contains("No module named 'tradewind_guest'"), "{error}");
    });
}
