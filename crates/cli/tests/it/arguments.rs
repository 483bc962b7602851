use crate::support::say;

#[test]
fn every_command_of_the_tree_has_help() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "standalone",
        "scheduler",
        "scheduler status",
        "worker",
        "dag-processor",
        "dags list",
        "dags details",
        "dags show",
        "dags report",
        "dags check",
        "dags diff",
        "dags clear",
        "dags trigger",
        "dags pause",
        "dags unpause",
        "dags list-runs",
        "dags list-import-errors",
        "dags state",
        "dags next-execution",
        "dags test",
        "tasks list",
        "tasks states-for-dag-run",
        "tasks state",
        "tasks clear",
        "tasks logs",
        "tasks why",
        "tasks failed-deps",
        "tasks test",
        "tasks questions",
        "tasks answer",
        "tasks render",
        "tasks mark",
        "tasks tries",
        "backfill create",
        "backfill list",
        "backfill show",
        "backfill pause",
        "backfill unpause",
        "backfill cancel",
        "assets list",
        "assets details",
        "assets materialize",
        "assets events",
        "assets update",
        "callbacks list",
        "simulate next",
        "simulate backfill",
        "simulate day",
        "xcom list",
        "xcom get",
        "pools list",
        "pools get",
        "pools set",
        "pools delete",
        "pools import",
        "pools export",
        "variables list",
        "variables get",
        "variables set",
        "variables delete",
        "variables import",
        "variables export",
        "connections list",
        "connections get",
        "connections add",
        "connections delete",
        "connections import",
        "connections export",
        "queues list",
        "workers list",
        "workers drain",
        "db migrate",
        "db check",
        "config show",
        "config get-value",
        "config generate-secrets",
        "version",
        "completion",
    ] {
        let args: Vec<&str> = line.split(' ').chain(["--help"]).collect();
        let said = say(dir.path(), &args);
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert!(said.out.contains("Usage: tradewind"), "{line}: {}", said.out);
        assert!(said.out.contains("--scheduler"), "{line}: global options are shown");
    }
}

#[test]
fn a_slip_in_a_command_is_answered_with_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = say(dir.path(), &["dags", "trigeer", "x"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("'trigger'"), "{}", said.err);
    assert!(said.out.is_empty());
    for (line, right) in
        [("backfil create d", "'backfill'"), ("assets materialise", "'materialize'"), ("tasks anser d r t", "'answer'")]
    {
        let said = say(dir.path(), &line.split(' ').collect::<Vec<_>>());
        assert!(said.code == 2 && said.err.contains(right), "{line}: {}", said.err);
    }
}

#[test]
fn flags_are_airflows() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing answers at this address: reaching it proves that the arguments were understood.
    for line in [
        "dags trigger d -r run -c {} -l 2026-01-31 -o json",
        "dags trigger d --run-id run --conf {} --logical-date 2026-01-31T02:00:00+01:00",
        "dags list -o plain -v",
        "dags list-runs d --state failed -s 2026-01-01 -e 2026-02-01",
        "dags next-execution d -n 3",
        "tasks clear d --run-id r -t load -u -d -f -y",
        "tasks clear d -s 2026-01-01 -e 2026-01-31 -y",
        "tasks clear d --run-id r -t load --map-index 3 --map-index -1 --past --future --exclude-markers --dry-run",
        "dags clear d --run-id r -f -y",
        "dags show d -o mermaid",
        "backfill create --dag-id d --from-date 2026-01-01 --to-date 2026-01-31 --run-backwards --dry-run",
        "backfill create d --from-date 2026-01-01 --to-date 2026-01-31 --max-active-runs 3 --dag-run-conf {} --follow",
        "backfill create d --from-date 2026-01-01 --to-date 2026-01-31 --reprocess-behavior failed -o json",
        "backfill pause 7",
        "backfills list d",
        "assets materialize --name a --wait -c {}",
        "assets update --uri s3://a --extra {}",
        "assets event --uri s3://a --extra {}",
        "assets events --consumed-by d latest",
        "callbacks list d latest",
        "tasks failed-deps d t r --map-index 2",
        "tasks mark d r t success --upstream --downstream --past --future",
        "tasks answer d r t --choose yes no --param n=1 --map-index 3",
        "tasks answer d r t --option yes --params {}",
        "tasks questions d latest --all",
        "xcom list d r --map-index 2",
        "pools set p 5 --rate 10/60s",
        "tasks state d t r",
        "tasks render d t r",
        "pools set p -1 unlimited --include-deferred",
        "variables get k -d none -j",
        "connections add c --conn-uri postgres://u:p@h/d",
    ] {
        let mut args: Vec<&str> = line.split(' ').collect();
        args.extend(["--scheduler", "http://127.0.0.1:1"]);
        let said = say(dir.path(), &args);
        assert_eq!(said.code, 4, "{line}: {}", said.err);
    }
}

#[test]
fn values_are_checked_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    for (line, part) in [
        ("dags trigger d -c {broken", "not JSON"),
        ("dags trigger d -c [1]", "JSON object"),
        ("dags trigger d -l yesterday", "yesterday"),
        ("dags list-runs d --state lost", "lost"),
        ("tasks states-for-dag-run d --state lost", "lost"),
        ("tasks clear d", "--run-id"),
        ("connections add c --conn-uri nonsense", "URI"),
        ("connections add c", "--conn-type"),
        ("connections add c --conn-type http --conn-extra [1]", "JSON object"),
        ("dags list --paused --active", "cannot be used"),
        ("dags list -o xml", "xml"),
        ("backfill create d --from-date 2026-02-01 --to-date 2026-01-01", "swap them"),
        ("backfill create d --from-date soon --to-date 2026-01-01", "soon"),
        ("backfill create --from-date 2026-01-01 --to-date 2026-01-02", "DAG_ID"),
        ("backfill create d --from-date 2026-01-01 --to-date 2026-01-02 --max-active-runs 0", "0"),
        ("backfill create d --from-date 2026-01-01 --to-date 2026-01-02 --dag-run-conf [1]", "--dag-run-conf must be"),
        ("backfill create d --from-date 2026-01-01 --to-date 2026-01-02 --reprocess-behavior all", "completed"),
        ("assets update --extra {}", "--name"),
        ("assets update --name a --extra [1]", "--extra must be a JSON object"),
        ("pools set p 5 --rate fast", "10/60s"),
        ("pools set p 5 --rate 0/60s", "lets nothing start"),
        ("tasks test d t --answer yes", "TASK=OPTION"),
        ("dags report no_such_folder", "no_such_folder"),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let said = say(dir.path(), &args);
        assert_eq!(said.code, 2, "{line}: {}", said.err);
        assert!(said.err.contains(part), "{line}: {}", said.err);
    }
}

#[test]
fn a_folder_is_checked_without_any_scheduler() {
    let dir = tempfile::tempdir().unwrap();
    let dags = dir.path().join("dags");
    std::fs::create_dir(&dags).unwrap();
    std::fs::write(dags.join("good.yaml"), "dag_id: good\ntasks:\n  - {id: a, operator: noop}\n").unwrap();
    let good = say(dir.path(), &["dags", "list-import-errors", "--local"]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.err.contains("1 DAGs load"), "{}", good.err);
    std::fs::write(dags.join("bad.yaml"), "dag_id: bad\ntasks:\n  - {id: a, operator: nop}\n").unwrap();
    let bad = say(dir.path(), &["dags", "list-import-errors", "--local", "dags"]);
    assert_eq!(bad.code, 1, "{}{}", bad.out, bad.err);
    assert!(bad.out.contains("bad.yaml") && !bad.out.contains("good.yaml"), "{}", bad.out);
    let one = say(dir.path(), &["dags", "list-import-errors", "--local", "dags/good.yaml"]);
    assert_eq!(one.code, 0, "the error of its neighbour is not its own: {}{}", one.out, one.err);
    let report = say(dir.path(), &["dags", "report", "-o", "plain"]);
    assert_eq!(report.code, 0, "{}", report.err);
    assert!(report.out.lines().any(|line| line.starts_with("good.yaml") && line.ends_with("good")), "{}", report.out);
    assert!(report.err.contains("2 files, 1 DAGs, 1 tasks, 1 errors"), "{}", report.err);
}

#[test]
fn completion_scripts_generate_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = say(dir.path(), &["completion", shell]);
        assert_eq!(said.code, 0, "{shell}: {}", said.err);
        for command in ["states-for-dag-run", "failed-deps", "materialize", "backfill"] {
            assert!(said.out.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_version_is_data() {
    let dir = tempfile::tempdir().unwrap();
    let said = say(dir.path(), &["version"]);
    assert_eq!((said.out.trim(), said.code), (env!("CARGO_PKG_VERSION"), 0));
}
