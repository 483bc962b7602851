use std::path::Path;

use tradewind_config::{Config, ConfigError, LoadArgs, Loaded, Origin, all_keys, generate_secrets, load, render_toml};

fn args(dir: &Path, env: &[(&str, &str)], flags: &[(&str, &str)]) -> LoadArgs {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    LoadArgs { file: None, dir: dir.to_owned(), env: pairs(env), overrides: pairs(flags) }
}

fn with_file(toml: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tradewind.toml"), toml).unwrap();
    load(args(dir.path(), env, flags))
}

fn only_problem(result: Result<Loaded, ConfigError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    let text = error.problems[0].to_string();
    // The folder's name differs from run to run.
    match text.split_once("/tradewind.toml") {
        Some((_, rest)) => format!("tradewind.toml{rest}"),
        None => text,
    }
}

#[test]
fn nothing_set_gives_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load(args(dir.path(), &[("PATH", "/bin")], &[])).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.origins.len(), all_keys().len());
    assert!(loaded.origins.values().all(|origin| *origin == Origin::Default));
    assert_eq!(loaded.file, None);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn later_layers_win_and_each_value_knows_its_place() {
    let loaded = with_file(
        "# my installation\n[scheduler]\nparallelism = 5\ntask_lease_secs = 20\nlisten = \"0.0.0.0:7000\"\n\n\
         [worker]\nqueues = [\"ml\"]\nenv = { A = \"1\" }\n[python]\ninterpreter = \"/opt/py/bin/python\"\n",
        &[
            ("TRADEWIND__SCHEDULER__PARALLELISM", "6"),
            ("TRADEWIND__SCHEDULER__LISTEN", "127.0.0.1:7001"),
            ("TRADEWIND__WORKER__QUEUES", "default, ml"),
            ("TRADEWIND__WORKER__ENV__OMP_NUM_THREADS", "4"),
            ("TRADEWIND__CORE__CREATE_CRON_DATA_INTERVALS", "True"),
        ],
        &[("scheduler.parallelism", "7")],
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.scheduler.parallelism, 7);
    assert_eq!(config.scheduler.task_lease_secs, 20.0);
    assert_eq!(config.scheduler.listen, "127.0.0.1:7001");
    assert_eq!(config.worker.queues, ["default", "ml"]);
    assert_eq!(config.worker.env["A"], "1");
    assert_eq!(config.worker.env["OMP_NUM_THREADS"], "4");
    assert!(config.core.create_cron_data_intervals);
    assert_eq!(config.python.interpreter.as_deref(), Some(Path::new("/opt/py/bin/python")));
    assert_eq!(loaded.origins["scheduler.parallelism"], Origin::Flag);
    assert_eq!(loaded.origins["scheduler.listen"], Origin::Env("TRADEWIND__SCHEDULER__LISTEN".to_owned()));
    assert!(
        matches!(&loaded.origins["scheduler.task_lease_secs"], Origin::File { line: 4, path } if path.ends_with("tradewind.toml"))
    );
    assert_eq!(loaded.origins["queue.url"], Origin::Default);
}

#[test]
fn a_named_file_is_read_and_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.toml");
    std::fs::write(&file, "[queue]\nnamespace = \"a\"\n").unwrap();
    let mut named = args(dir.path(), &[], &[]);
    named.file = Some(file.clone());
    assert_eq!(load(named).unwrap().config.queue.namespace, "a");
    let path = file.to_str().unwrap();
    let by_env = args(dir.path(), &[("TRADEWIND_CONFIG", path)], &[]);
    assert_eq!(load(by_env).unwrap().file, Some(file));
    let missing = args(dir.path(), &[("TRADEWIND_CONFIG", "/nowhere/x.toml")], &[]);
    let error = load(missing).unwrap_err().to_string();
    assert!(error.contains("/nowhere/x.toml does not exist"), "{error}");
}

#[test]
fn a_corrupt_file_names_its_line() {
    let error = only_problem(with_file("[scheduler]\nparallelism = 3\nlisten = \"abc\n[x]\n", &[], &[]));
    assert!(error.starts_with("tradewind.toml:3: not TOML: "), "{error}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tradewind.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let error = load(args(dir.path(), &[], &[])).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    for (toml, message) in [
        (
            "[scheduler]\nparalelism = 3\n",
            "tradewind.toml:2: scheduler.paralelism: there is no such option (did you mean \"scheduler.parallelism\"?)",
        ),
        (
            "[sheduler]\nparallelism = 3\n",
            "tradewind.toml:1: sheduler: there is no section [sheduler] (did you mean \"scheduler\"?)",
        ),
        (
            "[core]\nparallelism = 3\n",
            "tradewind.toml:2: core.parallelism: there is no such option (did you mean \"scheduler.parallelism\"?)",
        ),
        ("parallelism = 3\n", "tradewind.toml:1: parallelism: options lie in sections: write it below [scheduler]"),
        ("[dags.folder]\nx = 1\n", "tradewind.toml:1: dags.folder: expects text, found a table"),
    ] {
        assert_eq!(only_problem(with_file(toml, &[], &[])), message);
    }
}

#[test]
fn unknown_variables_are_errors_and_single_underscores_are_pointed_out() {
    assert_eq!(
        only_problem(with_file("", &[("TRADEWIND__STORE__URI", "x")], &[])),
        "TRADEWIND__STORE__URI: store.uri: there is no such option (did you mean \"store.url\"?)"
    );
    assert!(with_file("", &[("TRADEWIND__STORE", "x")], &[]).is_err());
    assert!(with_file("", &[("TRADEWIND__STORE__URL__X", "x")], &[]).is_err());
    let loaded = with_file("", &[("TRADEWIND_STORE_URL", "x"), ("TRADEWIND_TEST_REDIS_URL", "y")], &[]).unwrap();
    assert_eq!(
        loaded.warnings,
        ["the environment variable TRADEWIND_STORE_URL is not read: the name of store.url is TRADEWIND__STORE__URL"]
    );
}

#[test]
fn wrong_values_name_what_is_expected() {
    for (toml, message) in [
        (
            "[scheduler]\nparallelism = \"many\"\n",
            "tradewind.toml:2: scheduler.parallelism: expects a whole number, found text",
        ),
        (
            "[core]\ncreate_cron_data_intervals = 1\n",
            "tradewind.toml:2: core.create_cron_data_intervals: expects true or false, found a whole number",
        ),
        (
            "[worker]\nqueues = \"ml\"\n",
            "tradewind.toml:2: worker.queues: expects a list of texts, e.g. [\"a\", \"b\"], found text",
        ),
    ] {
        assert_eq!(only_problem(with_file(toml, &[], &[])), message);
    }
    let negative = only_problem(with_file("[scheduler]\nparallelism = -1\n", &[], &[]));
    assert!(negative.starts_with("tradewind.toml:2: scheduler.parallelism: -1 is out of range"), "{negative}");
    assert_eq!(
        only_problem(with_file("", &[("TRADEWIND__QUEUE__WINDOW", "1e3")], &[])),
        "TRADEWIND__QUEUE__WINDOW: queue.window: expects a whole number, found \"1e3\""
    );
    assert!(only_problem(with_file("", &[], &[("dags.scan_secs", "nan")])).contains("expects a number"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let error =
        with_file("[scheduler]\nparalelism = 3\ntask_lease_secs = \"x\"\n", &[("TRADEWIND__NO__SUCH", "1")], &[])
            .unwrap_err();
    assert_eq!(error.problems.len(), 3);
    assert!(error.to_string().contains("3 problems:\n  "));
}

#[test]
fn shown_configurations_hide_secrets_and_load_again() {
    let mut loaded =
        with_file("[store]\nurl = \"postgres://u:hunter2@h/d\"\n[worker]\nenv = { API = \"hunter3\" }\n", &[], &[])
            .unwrap();
    loaded.config.security = generate_secrets();
    let shown = render_toml(&loaded.config, &loaded.origins);
    for secret in ["hunter2", "hunter3", &loaded.config.security.admin_token, &loaded.config.security.fernet_key] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("url = \"postgres://u:***@h/d\"  # "), "{shown}");
    assert!(shown.contains("/tradewind.toml:2\n"), "{shown}");
    assert!(shown.contains("parallelism = 1024  # default\n"), "{shown}");
    assert!(shown.contains("# interpreter =  # default\n"), "{shown}");
    // What is shown is TOML that loads.
    let again = with_file(&shown, &[], &[]).unwrap();
    assert_eq!(again.config.scheduler, loaded.config.scheduler);
    assert_eq!(again.config.worker.queues, loaded.config.worker.queues);
}

#[test]
fn secret_values_are_not_part_of_messages() {
    let error = with_file("[security]\nadmin_tokn = \"hunter2\"\n[store]\nurl = 5\n", &[], &[]).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert!(error.to_string().contains("security.admin_token"));
}

#[test]
fn environments_of_a_dag_folder_are_no_configuration() {
    const ENVIRONMENTS: &str = "[environments.a]\nrequirements = \"requirements.txt\"\n[reload]\n\"a.py\" = \"5m\"\n";
    // Found by chance, in a DAG folder: it is not meant for us.
    let loaded = with_file(ENVIRONMENTS, &[], &[]).unwrap();
    assert_eq!((loaded.file, loaded.config), (None, Config::default()));
    // Both in one file, or named as our configuration: it says where which belongs.
    let problem = only_problem(with_file("[core]\n\n[environments.a]\nrequirements = \"r.txt\"\n", &[], &[]));
    assert!(problem.starts_with("tradewind.toml:3: environments: "), "{problem}");
    assert!(problem.contains("in the DAG folder") && problem.contains("--config"), "{problem}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tradewind.toml"), "[reload]\n\"a.py\" = \"5m\"\n").unwrap();
    let named = LoadArgs { file: Some(dir.path().join("tradewind.toml")), ..args(dir.path(), &[], &[]) };
    assert!(only_problem(load(named)).contains("in the DAG folder"));
}
