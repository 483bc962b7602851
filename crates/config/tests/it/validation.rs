use std::collections::BTreeMap;

use tradewind_config::{Config, Role, generate_secrets};

/// A configuration that every role accepts.
fn sound() -> Config {
    let mut config = Config { security: generate_secrets(), ..Config::default() };
    config.store.url = "postgres://u:p@h/d".to_owned();
    config.queue.url = "redis://h:6379".to_owned();
    config
}

fn problems(config: &Config, role: Role) -> Vec<String> {
    match config.validate(role, &BTreeMap::new()) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn sound_configurations_pass() {
    for role in [Role::Standalone, Role::Scheduler, Role::Worker, Role::DagProcessor, Role::Client] {
        assert_eq!(problems(&sound(), role), Vec::<String>::new(), "{role:?}");
    }
    // Standalone and commands need nothing at all.
    assert!(problems(&Config::default(), Role::Standalone).is_empty());
    assert!(problems(&Config::default(), Role::Client).is_empty());
}

/// Each change must be refused for the role, with a message that holds the text.
#[test]
fn unsound_configurations_are_refused_by_key() {
    type Change = fn(&mut Config);
    let cases: &[(Role, &str, Change)] = &[
        (Role::Scheduler, "store.url: SQLite holds one process only", |c| c.store.url.clear()),
        (Role::Scheduler, "store.url: SQLite holds one process only", |c| c.store.url = "sqlite:///x".into()),
        (Role::Standalone, "store.url: write it as", |c| c.store.url = "mysql://h/d".into()),
        (Role::Scheduler, "queue.url: the memory queue", |c| c.queue.url = "memory:".into()),
        (Role::Worker, "queue.url: the memory queue", |c| c.queue.url = "memory:".into()),
        (Role::Standalone, "queue.url: write it as", |c| c.queue.url = "amqp://h".into()),
        (Role::Scheduler, "security.admin_token: is not set", |c| c.security.admin_token.clear()),
        (Role::Scheduler, "security.processor_token: is not set", |c| c.security.processor_token.clear()),
        (Role::Worker, "security.worker_token: is not set", |c| c.security.worker_token.clear()),
        (Role::DagProcessor, "security.processor_token: is not set", |c| c.security.processor_token.clear()),
        (Role::Standalone, "security.admin_token: is too short", |c| c.security.admin_token = "abc".into()),
        (Role::Standalone, "security.admin_token: is easy to guess", |c| c.security.admin_token = "changeme".repeat(5)),
        (Role::Standalone, "security.admin_token: is easy to guess", |c| {
            c.security.admin_token = "Tradewind-000000000000000000000000000".into();
        }),
        (Role::Worker, "security.worker_token: is easy to guess", |c| c.security.worker_token = "a1".repeat(20)),
        (Role::Client, "security.admin_token: has characters", |c| {
            c.security.admin_token = format!("{} x", c.security.admin_token);
        }),
        (Role::Scheduler, "security.worker_token: is the same as security.admin_token", |c| {
            c.security.worker_token = c.security.admin_token.clone();
        }),
        (Role::Scheduler, "security.processor_token: is the same as security.worker_token", |c| {
            c.security.processor_token = c.security.worker_token.clone();
        }),
        (Role::Scheduler, "security.fernet_key: no Fernet key", |c| c.security.fernet_key.clear()),
        (Role::Standalone, "security.fernet_key: Fernet key 2 is not", |c| c.security.fernet_key += ",abc"),
        (Role::Scheduler, "scheduler.task_lease_secs: 4 is too small: at least 5", |c| {
            c.scheduler.task_lease_secs = 4.0
        }),
        (Role::Scheduler, "scheduler.task_lease_secs: 15 is less than twice", |c| c.scheduler.leader_lease_secs = 8.0),
        (Role::Scheduler, "scheduler.leader_lease_secs: 0 is too small", |c| c.scheduler.leader_lease_secs = 0.0),
        (Role::Scheduler, "scheduler.max_map_length: 0 is too small", |c| c.scheduler.max_map_length = 0),
        (Role::Worker, "worker.callback_timeout_secs: 0 is too small", |c| c.worker.callback_timeout_secs = 0.0),
        (Role::Scheduler, "scheduler.repair_secs: NaN is too small", |c| c.scheduler.repair_secs = f64::NAN),
        (Role::DagProcessor, "dags.scan_secs: -1 is too small", |c| c.dags.scan_secs = -1.0),
        (Role::DagProcessor, "dags.parse_processes: 0 is too small", |c| c.dags.parse_processes = 0),
        (Role::Scheduler, "xcom.inline_max_bytes: 99999999 is too large", |c| c.xcom.inline_max_bytes = 99_999_999),
        (Role::Scheduler, "scheduler.listen: \"localhost\" is not an address", |c| {
            c.scheduler.listen = "localhost".into()
        }),
        (Role::Scheduler, "scheduler.advertise: others cannot reach 0.0.0.0:7070", |c| {
            c.scheduler.listen = "0.0.0.0:7070".into();
        }),
        (Role::Worker, "client.schedulers: \"h:7070\" is not an address", |c| {
            c.client.schedulers = vec!["h:7070".into()]
        }),
        (Role::Worker, "worker.queues: a worker serves at least one", |c| c.worker.queues.clear()),
        (Role::Worker, "worker.queues: the queue \"a b\" contains ' '", |c| c.worker.queues = vec!["a b".into()]),
        (Role::Scheduler, "tls.key: tls.cert is set", |c| c.tls.cert = Some("/dev/null".into())),
        (Role::Scheduler, "tls.ca: there is no file /nowhere", |c| c.tls.ca = Some("/nowhere".into())),
        (Role::Client, "logs.format: \"xml\"", |c| c.logs.format = "xml".into()),
        (Role::Scheduler, "core.default_timezone: \"Mars/Base\"", |c| c.core.default_timezone = "Mars/Base".into()),
    ];
    for (role, text, change) in cases {
        let mut config = sound();
        change(&mut config);
        let found = problems(&config, *role);
        assert!(found.iter().any(|problem| problem.starts_with(text)), "{role:?}: {text}\n{found:#?}");
    }
}

#[test]
fn secrets_are_not_part_of_messages() {
    let mut config = sound();
    config.security.admin_token = "hunter2".into();
    config.security.fernet_key = "hunter3".into();
    let text = problems(&config, Role::Scheduler).join("\n");
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn an_open_listener_without_tls_is_warned_about() {
    let mut config = sound();
    config.scheduler.listen = "0.0.0.0:7070".into();
    config.scheduler.advertise = "http://s1:7070".into();
    let warnings = config.validate(Role::Scheduler, &BTreeMap::new()).unwrap();
    assert!(warnings[0].contains("travel in clear"), "{warnings:?}");
    config.scheduler.listen = "127.0.0.1:7070".into();
    assert!(config.validate(Role::Scheduler, &BTreeMap::new()).unwrap().is_empty());
}
