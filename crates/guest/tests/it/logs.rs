//! What a task writes, prints and logs.

use tradewind_guest::*;

use crate::support::*;

#[test]
fn text_of_all_kinds_arrives_with_its_source() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("speak", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        let lines = host.lines();
        let find = |logger: &str, text: &str| {
            lines.iter().find(|line| line.logger == logger && line.message.contains(text)).map(|line| line.level)
        };
        assert_eq!(find("task.stdout", "grüße 🌊 \\udc80"), Some(LogLevel::Info), "{}", host.text());
        assert_eq!(find("task.stderr", "to stderr"), Some(LogLevel::Error));
        assert_eq!(find("mine", "from logging"), Some(LogLevel::Error));
    });
}

#[test]
fn a_flood_of_output_arrives_whole_and_in_order() {
    on_runtime(async {
        let host = MemoryHost::new();
        let exit = run("much", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{exit:?}");
        let numbers: Vec<u32> = host
            .lines()
            .iter()
            .filter(|line| line.logger == "task.stdout")
            .filter_map(|line| line.message.split(' ').nth(1)?.parse().ok())
            .collect();
        assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_traceback_reads_as_python_prints_it() {
    on_runtime(async {
        let host = MemoryHost::new();
        run("fail", &host).await;
        let traceback = host.lines().iter().find_map(LogLine::traceback).expect("a traceback");
        assert!(traceback.starts_with("Traceback (most recent call last):\n"), "{traceback}");
        assert!(traceback.contains("basics.py\", line ") && traceback.ends_with("ValueError: broken\n"), "{traceback}");
    });
}

#[test]
fn an_interpreter_that_a_task_starts_can_ask_and_log_too() {
    on_runtime(async {
        let host = MemoryHost::new();
        host.put_variable("greeting", "hello");
        let exit = run("subprocess", &host).await;
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{}", host.text());
        let lines = host.lines();
        let line = lines.iter().find(|line| line.message == "the variable is hello").expect("the line");
        assert_eq!(line.level, LogLevel::Warning);
    });
}
