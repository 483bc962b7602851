use std::fs;

use crate::support::{said, say, tradewind};

#[test]
fn origins_name_file_variable_and_flag() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("tradewind.toml"),
        "[scheduler]\nparallelism = 3\n[security]\nadmin_token = \"hidden-value\"\n",
    )
    .unwrap();
    let said = said(
        tradewind(dir.path())
            .args(["config", "show", "--origins", "--home", "elsewhere"])
            .env("TRADEWIND__WORKER__SLOTS", "7")
            .assert()
            .success(),
    );
    let line = |key: &str| said.out.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("parallelism").contains("# tradewind.toml:2"), "{}", said.out);
    assert!(line("slots").contains("# TRADEWIND__WORKER__SLOTS"), "{}", said.out);
    assert!(line("dir").contains("# flag"), "{}", said.out);
    assert!(!said.out.contains("hidden-value"), "secrets are never shown");
    let plain = say(dir.path(), &["config", "show"]);
    assert!(!plain.out.contains('#') || !plain.out.contains("# default"), "{}", plain.out);
}

#[test]
fn a_slip_in_the_file_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tradewind.toml"), "[scheduler]\nparalelism = 3\n").unwrap();
    let said = say(dir.path(), &["config", "show"]);
    assert_eq!(said.code, 2);
    for part in ["tradewind.toml:2", "paralelism", "did you mean \"scheduler.parallelism\""] {
        assert!(said.err.contains(part), "{}", said.err);
    }
}

#[test]
fn one_value_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(say(dir.path(), &["config", "get-value", "scheduler", "listen"]).out.trim(), "127.0.0.1:7070");
    let unknown = say(dir.path(), &["config", "get-value", "scheduler", "lisen"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("scheduler.listen"), "{}", unknown.err);
}

#[test]
fn generated_secrets_are_a_configuration_that_a_scheduler_takes() {
    let dir = tempfile::tempdir().unwrap();
    let made = say(dir.path(), &["config", "generate-secrets"]);
    assert_eq!(made.out.lines().count(), 5, "{}", made.out);
    assert_ne!(made.out, say(dir.path(), &["config", "generate-secrets"]).out, "each time others");
    fs::write(dir.path().join("secrets.toml"), &made.out).unwrap();
    // The database is a folder that cannot be one: that is the next thing to go wrong, after the secrets.
    let said = said(
        tradewind(dir.path())
            .args(["--config", "secrets.toml", "scheduler"])
            .env("TRADEWIND__STORE__URL", "postgres://127.0.0.1:notaport/none")
            .env("TRADEWIND__QUEUE__URL", "redis://127.0.0.1:1")
            .assert(),
    );
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("store"), "{}", said.err);
    assert!(!said.err.contains("security."), "{}", said.err);
}

#[test]
fn roles_name_everything_that_they_lack_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let scheduler = say(dir.path(), &["scheduler"]);
    assert_eq!(scheduler.code, 2);
    for key in ["store.url", "queue.url", "security.admin_token", "security.fernet_key", "generate-secrets"] {
        assert!(scheduler.err.contains(key), "{key}: {}", scheduler.err);
    }
    let worker = say(dir.path(), &["worker", "--queues", "ml"]);
    assert_eq!(worker.code, 2);
    assert!(worker.err.contains("security.worker_token"), "{}", worker.err);
    assert!(!worker.err.contains("store.url"), "a worker has no database: {}", worker.err);
}

#[test]
fn migrating_makes_the_schema_and_checking_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let before = say(dir.path(), &["db", "check"]);
    assert_eq!(before.code, 1, "{}", before.err);
    assert!(before.out.contains("db migrate"), "{}", before.out);
    let first = say(dir.path(), &["db", "migrate"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("applied"), "{}", first.out);
    assert!(say(dir.path(), &["db", "migrate"]).out.contains("up to date"));
    let after = say(dir.path(), &["db", "check", "-o", "json"]);
    assert_eq!(after.code, 0);
    let json: serde_json::Value = serde_json::from_str(&after.out).unwrap();
    assert_eq!(json["ready"], true);
}
