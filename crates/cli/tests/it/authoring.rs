//! Checking and comparing DAG files without a server and without Python.

use std::fs;

use crate::support::{Said, said, tradewind};

fn yaml(tasks: &str) -> String {
    format!("dag_id: d\ntasks:\n{tasks}")
}

fn run(dir: &std::path::Path, args: &[&str]) -> Said {
    said(tradewind(dir).args(args).env("TRADEWIND__CLIENT__SCHEDULERS", "http://127.0.0.1:9").assert())
}

#[test]
fn a_cycle_is_drawn_and_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("dags")).unwrap();
    let file = dir.path().join("dags/d.yaml");
    fs::write(
        &file,
        yaml("  - {id: a, operator: noop, depends_on: [b]}\n  - {id: b, operator: noop, depends_on: [a]}\n"),
    )
    .unwrap();
    let bad = run(dir.path(), &["dags", "check"]);
    assert_eq!(bad.code, 1, "{}", bad.err);
    assert!(bad.out.contains("dags/d.yaml") && bad.out.contains("dependency-cycle"), "{}", bad.out);
    assert!(bad.out.contains("-> b\n") && bad.out.contains("+----+"), "{}", bad.out);
    assert!(bad.err.contains("Not checked: pools, queues and connections"), "{}", bad.err);
    fs::write(&file, yaml("  - {id: a, operator: noop}\n")).unwrap();
    let good = run(dir.path(), &["dags", "check", "dags/d.yaml", "--offline"]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("by hand") && good.err.contains("1 DAGs: 0 errors"), "{}\n{}", good.out, good.err);
    assert_eq!(run(dir.path(), &["dags", "check", "gone"]).code, 2);
    assert!(!dir.path().join("home").exists() && !dir.path().join("tradewind.db").exists(), "a check leaves nothing");
}

#[test]
fn two_folders_are_compared_by_meaning() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, tasks) in [
        ("old", "  - {id: a, operator: bash, command: echo one}\n  - {id: b, operator: noop, depends_on: [a]}\n"),
        ("new", "  # moved\n  - {id: b, operator: noop}\n  - {id: a, operator: bash, command: echo two}\n"),
    ] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        fs::write(dir.path().join(folder).join("d.yaml"), yaml(tasks)).unwrap();
    }
    let same = run(dir.path(), &["dags", "diff", "old", "old", "--exit-code"]);
    assert_eq!((same.code, same.out.as_str()), (0, ""), "{}", same.err);
    let other = run(dir.path(), &["dags", "diff", "old", "new", "--exit-code"]);
    assert_eq!(other.code, 1, "{}", other.err);
    assert!(other.out.contains("echo one -> echo two") && other.out.contains("- a -> b"), "{}", other.out);
    let unknown = run(dir.path(), &["dags", "diff", "v1", "new"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("\"v1\" is neither a file or folder nor a git revision"), "{}", unknown.err);
}
