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
        "tasks render",
        "tasks mark",
        "tasks tries",
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
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let said = say(dir.path(), &args);
        assert_eq!(said.code, 2, "{line}: {}", said.err);
        assert!(said.err.contains(part), "{line}: {}", said.err);
    }
}

#[test]
fn completion_scripts_generate_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = say(dir.path(), &["completion", shell]);
        assert_eq!(said.code, 0, "{shell}: {}", said.err);
        assert!(said.out.contains("states-for-dag-run"), "{shell}");
    }
}

#[test]
fn the_version_is_data() {
    let dir = tempfile::tempdir().unwrap();
    let said = say(dir.path(), &["version"]);
    assert_eq!((said.out.trim(), said.code), (env!("CARGO_PKG_VERSION"), 0));
}
