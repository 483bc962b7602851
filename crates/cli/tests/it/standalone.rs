//! One standalone process in this test: the files that it keeps, the lock, and how the CLI finds it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::say;

/// A standalone process; killed when the test ends early.
struct Standalone {
    child: Child,
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Standalone {
    /// Starts one and waits until it has kept its address.
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("tradewind"))
            .args(["standalone", "--listen", "127.0.0.1:0", "--slots", "2"])
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let banner = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ctrl-C stops it"));
        assert!(banner, "it ended without its banner");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child }
    }

    /// SIGTERM, and the exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_native_dag_runs_and_the_cli_finds_everything_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let dags = dir.path().join("dags");
    fs::create_dir(&dags).unwrap();
    fs::write(
        dags.join("hello.yaml"),
        "dag_id: hello\nschedule: null\ntasks:\n  - {id: greet, operator: bash, command: echo hello there}\n  \
         - {id: fail, operator: bash, command: exit 3, depends_on: [greet]}\n",
    )
    .unwrap();
    let system = Standalone::start(dir.path());
    let pid = system.child.id();
    let home = dir.path().join(".tradewind");
    for name in ["admin.token", "worker.token", "processor.token", "fernet.key"] {
        let mode = fs::metadata(home.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let second = say(dir.path(), &["standalone", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 5, "{}", second.err);
    assert!(second.err.contains(&format!("pid {pid}")), "{}", second.err);

    eventually("a healthy scheduler", || say(dir.path(), &["scheduler", "status"]).code == 0);
    eventually("loading the DAG", || say(dir.path(), &["dags", "details", "hello"]).code == 0);
    let slip = say(dir.path(), &["dags", "details", "helo"]);
    assert_eq!(slip.code, 3);
    assert!(slip.err.contains("did you mean \"hello\""), "{}", slip.err);

    assert_eq!(say(dir.path(), &["dags", "unpause", "hello"]).code, 0);
    let run = say(dir.path(), &["dags", "trigger", "hello", "--wait", "-r", "mine"]);
    assert_eq!(run.code, 1, "the run fails: {}{}", run.out, run.err);
    assert!(run.out.contains("failed"), "{}", run.out);
    assert!(run.err.contains("greet success"), "{}", run.err);
    let log = say(dir.path(), &["tasks", "logs", "hello", "latest", "greet", "-f"]);
    assert!(log.out.contains("hello there"), "{}", log.out);
    let why = say(dir.path(), &["tasks", "why", "hello", "mine", "fail"]);
    assert!(why.out.contains("failed"), "{}", why.out);
    assert_eq!(say(dir.path(), &["xcom", "get", "hello", "mine", "greet"]).out, "hello there\n");
    let slip = say(dir.path(), &["tasks", "logs", "hello", "mine", "gret"]);
    assert!(slip.err.contains("did you mean \"greet\""), "{}", slip.err);
    assert_eq!(slip.code, 3);

    let wrong = say(dir.path(), &["dags", "list", "--token", "not-the-token-but-long-enough-to-be-one"]);
    assert_eq!(wrong.code, 6, "{}", wrong.err);
    assert!(wrong.err.contains("token"), "{}", wrong.err);

    assert_eq!(system.stop(), Some(0));
    let after = say(dir.path(), &["dags", "list"]);
    assert_eq!(after.code, 4);
    assert!(!home.join("address").exists());
}

#[test]
fn a_dag_is_tested_without_any_system() {
    let dir = tempfile::tempdir().unwrap();
    let dags = dir.path().join("dags");
    fs::create_dir(&dags).unwrap();
    fs::write(
        dags.join("checks.yaml"),
        "dag_id: good\nschedule: '@daily'\ntasks:\n  \
         - {id: say, operator: bash, command: \"echo it is {{ ds }}\", queue: far_away, pool: no_such_pool}\n---\n\
         dag_id: bad\nschedule: null\ntasks:\n  - {id: fail, operator: bash, command: exit 3, retries: 1}\n",
    )
    .unwrap();
    let good = say(dir.path(), &["dags", "test", "good", "2026-01-31"]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(good.out.contains("say | ") && good.out.contains("it is 2026-01-31"), "{}", good.out);
    assert!(good.out.contains("good") && good.out.contains("success"), "{}", good.out);
    let bad = say(dir.path(), &["dags", "test", "bad"]);
    let one = say(dir.path(), &["tasks", "test", "good", "say", "2026-01-31"]);
    assert_eq!(one.code, 0, "{}{}", one.out, one.err);
    assert!(one.out.contains("it is 2026-01-31"), "{}", one.out);
    let slip = say(dir.path(), &["tasks", "test", "good", "sey"]);
    assert_eq!(slip.code, 3);
    assert!(slip.err.contains("did you mean \"say\""), "{}", slip.err);
    assert_eq!(bad.code, 1, "{}{}", bad.out, bad.err);
    assert!(bad.err.contains("try 2"), "the retry comes without delay: {}", bad.err);
    let slip = say(dir.path(), &["dags", "test", "goood"]);
    assert_eq!(slip.code, 3);
    assert!(slip.err.contains("did you mean \"good\""), "{}", slip.err);
    assert!(!dir.path().join(".tradewind").exists(), "nothing is left behind");
}
