//! What must hold before a role starts.

use std::{collections::BTreeMap, net::SocketAddr};

use tradewind_secrets::Fernet;
use tradewind_types::check_key;

use crate::{Config, ConfigError, Origin, Problem};

/// What a process does with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Standalone,
    /// A scheduler beside others.
    Scheduler,
    /// A worker on its own.
    Worker,
    /// A DAG processor on its own.
    DagProcessor,
    /// A command of the CLI.
    Client,
}

/// Fewer characters than this are guessable.
const TOKEN_MIN: usize = 32;

/// Tokens that stand in manuals and templates, or that people type to get past a check; compared without case, and also
/// when one of them is repeated or padded with one character.
const WEAK_TOKENS: [&str; 22] = [
    "admin",
    "airflow",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "default",
    "dev",
    "example",
    "insecure",
    "letmein",
    "not-so-secret",
    "password",
    "placeholder",
    "replace-me",
    "replaceme",
    "secret",
    "temporary_key",
    "test",
    "token",
    "tradewind",
    "your-token-here",
];

/// The gRPC message limit is 16 MiB; a value must fit with its escapes.
const INLINE_CEILING: u64 = 8 * 1024 * 1024;

/// A frame between a worker and a task has a length of 32 bits, and floats are longer there than as text.
const XCOM_CEILING: u64 = 1024 * 1024 * 1024;

impl Config {
    /// Checks the configuration for a role. `origins` (of [`load`](crate::load)) lets problems name their place.
    ///
    /// # Errors
    /// Everything that keeps the role from starting. On success: warnings about what is allowed but risky.
    pub fn validate(&self, role: Role, origins: &BTreeMap<String, Origin>) -> Result<Vec<String>, ConfigError> {
        let mut check = Check { config: self, origins, problems: Vec::new(), warnings: Vec::new() };
        check.numbers();
        check.texts();
        check.stores(role);
        check.network(role);
        check.credentials(role);
        if check.problems.is_empty() { Ok(check.warnings) } else { Err(check.problems.into()) }
    }
}

struct Check<'c> {
    config: &'c Config,
    origins: &'c BTreeMap<String, Origin>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Check<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.origins.get(key).cloned();
        self.problems.push(Problem::new(key, origin, message));
    }

    fn at_least(&mut self, key: &str, value: f64, least: f64) {
        // Not a number is not at least anything.
        if !(value >= least && value.is_finite()) {
            self.problem(key, format!("{value} is too small: at least {least}"));
        }
    }

    fn numbers(&mut self) {
        let c = self.config;
        self.at_least("scheduler.leader_lease_secs", c.scheduler.leader_lease_secs, 1.0);
        self.at_least("scheduler.task_lease_secs", c.scheduler.task_lease_secs, 5.0);
        self.at_least("scheduler.max_retry_delay_secs", c.scheduler.max_retry_delay_secs, 1.0);
        self.at_least("xcom.sweep_secs", c.xcom.sweep_secs, 0.1);
        // What a worker is about to write down must be young.
        self.at_least("xcom.orphan_secs", c.xcom.orphan_secs, 3600.0);
        self.at_least("scheduler.repair_secs", c.scheduler.repair_secs, 0.05);
        self.at_least("scheduler.parallelism", f64::from(c.scheduler.parallelism), 1.0);
        self.at_least("scheduler.max_worker_losses", f64::from(c.scheduler.max_worker_losses), 1.0);
        self.at_least("scheduler.max_map_length", f64::from(c.scheduler.max_map_length), 1.0);
        self.at_least("queue.window", f64::from(c.queue.window), 1.0);
        self.at_least("dags.scan_secs", c.dags.scan_secs, 0.1);
        self.at_least("dags.parse_timeout_secs", c.dags.parse_timeout_secs, 0.1);
        self.at_least("dags.parse_processes", f64::from(c.dags.parse_processes), 1.0);
        self.at_least("worker.drain_grace_secs", c.worker.drain_grace_secs, 0.0);
        self.at_least("worker.kill_grace_secs", c.worker.kill_grace_secs, 0.0);
        self.at_least("worker.callback_timeout_secs", c.worker.callback_timeout_secs, 1.0);
        self.at_least("python.warm_dag_secs", c.python.warm_dag_secs, 0.0);
        for (key, value, least) in [
            ("xcom.inline_max_bytes", c.xcom.inline_max_bytes, 1024),
            ("xcom.max_bytes", c.xcom.max_bytes, c.xcom.inline_max_bytes),
            ("scheduler.log_max_bytes", c.scheduler.log_max_bytes, 1024),
            ("dags.parse_memory_mib", c.dags.parse_memory_mib, 64),
            ("dags.bundle_file_max_mib", c.dags.bundle_file_max_mib, 1),
            ("worker.bundle_cache_bytes", c.worker.bundle_cache_bytes, 1024 * 1024),
        ] {
            if value < least {
                self.problem(key, format!("{value} is too small: at least {least}"));
            }
        }
        for (key, value, most, why) in [
            ("xcom.inline_max_bytes", c.xcom.inline_max_bytes, INLINE_CEILING, "it travels in one message"),
            ("xcom.max_bytes", c.xcom.max_bytes, XCOM_CEILING, "a worker has to hold it in memory"),
        ] {
            if value > most {
                let message = format!("{value} is too large: at most {most}, since {why}");
                self.problem(key, message);
            }
        }
        // No lease may run out while a standby takes over: renewals pause for up to one leader lease and its start.
        if c.scheduler.task_lease_secs < 2.0 * c.scheduler.leader_lease_secs {
            self.problem(
                "scheduler.task_lease_secs",
                format!(
                    "{} is less than twice scheduler.leader_lease_secs ({}): tasks would be lost when a standby takes \
                     over; raise the one or lower the other",
                    c.scheduler.task_lease_secs, c.scheduler.leader_lease_secs
                ),
            );
        }
    }

    fn texts(&mut self) {
        let c = self.config;
        if !matches!(c.logs.format.as_str(), "text" | "json") {
            self.problem("logs.format", format!("\"{}\" is not a format: text or json", c.logs.format));
        }
        if !matches!(c.dags.ignore_file_syntax.as_str(), "glob" | "regexp") {
            self.problem(
                "dags.ignore_file_syntax",
                format!("\"{}\" is not a syntax: glob or regexp", c.dags.ignore_file_syntax),
            );
        }
        if jiff::tz::db().get(&c.core.default_timezone).is_err() {
            self.problem(
                "core.default_timezone",
                format!("\"{}\" is not an IANA time zone, e.g. UTC or Europe/London", c.core.default_timezone),
            );
        }
        if c.worker.queues.is_empty() {
            self.problem("worker.queues", "a worker serves at least one queue, e.g. [\"default\"]");
        }
        for (index, queue) in c.worker.queues.iter().enumerate() {
            if let Err(why) = check_key("queue", queue) {
                self.problem("worker.queues", why);
            }
            if c.worker.queues[..index].contains(queue) {
                self.warnings.push(format!("worker.queues: \"{queue}\" is named twice"));
            }
        }
        for (key, name) in [
            ("queue.namespace", &c.queue.namespace),
            ("scheduler.name", &c.scheduler.name),
            ("worker.name", &c.worker.name),
        ] {
            if (key == "queue.namespace" || !name.is_empty())
                && let Err(why) = check_key("name", name)
            {
                self.problem(key, why);
            }
        }
        let otlp = &c.telemetry.otlp_endpoint;
        if !otlp.is_empty() && !is_http(otlp) {
            self.problem("telemetry.otlp_endpoint", "write it as http://HOST:PORT or https://HOST:PORT");
        }
    }

    fn stores(&mut self, role: Role) {
        let store = &self.config.store.url;
        let sqlite = store.is_empty() || store.starts_with("sqlite:");
        let postgres = store.starts_with("postgres://") || store.starts_with("postgresql://");
        if !(sqlite || postgres) {
            self.problem("store.url", "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///PATH");
        }
        if role == Role::Scheduler && sqlite {
            self.problem(
                "store.url",
                "SQLite holds one process only: a scheduler beside others needs postgres://…, or run `tradewind \
                 standalone`",
            );
        }
        let queue = &self.config.queue.url;
        let memory = queue.starts_with("memory:");
        if !(memory || queue.starts_with("redis://") || queue.starts_with("rediss://")) {
            self.problem("queue.url", "write it as redis://HOST:PORT, rediss://HOST:PORT or memory:");
        }
        if memory && matches!(role, Role::Scheduler | Role::Worker) {
            self.problem(
                "queue.url",
                "the memory queue reaches one process only: schedulers and workers of their own need redis://…, or run \
                 `tradewind standalone`",
            );
        }
    }

    fn network(&mut self, role: Role) {
        let c = self.config;
        if matches!(role, Role::Scheduler | Role::Standalone) {
            match c.scheduler.listen.parse::<SocketAddr>() {
                Err(_) => self.problem(
                    "scheduler.listen",
                    format!(
                        "\"{}\" is not an address: write IP:PORT, e.g. 127.0.0.1:7070 or 0.0.0.0:7070",
                        c.scheduler.listen
                    ),
                ),
                Ok(address) => {
                    if !address.ip().is_loopback() && c.tls.cert.is_none() {
                        self.warnings.push(format!(
                            "scheduler.listen: {address} is reachable from other machines and tls.cert is not set, so \
                             tokens and values travel in clear"
                        ));
                    }
                    if role == Role::Scheduler && address.ip().is_unspecified() && c.scheduler.advertise.is_empty() {
                        self.problem(
                            "scheduler.advertise",
                            format!(
                                "others cannot reach {address}: set the address that workers and clients use, e.g. \
                                 http://scheduler-1:{}",
                                address.port()
                            ),
                        );
                    }
                }
            }
            let advertise = &c.scheduler.advertise;
            if !advertise.is_empty() && !is_http(advertise) {
                self.problem("scheduler.advertise", "write it as http://HOST:PORT or https://HOST:PORT");
            }
        }
        for address in &c.client.schedulers {
            if !is_http(address) {
                self.problem(
                    "client.schedulers",
                    format!("\"{address}\" is not an address: write http://HOST:PORT or https://HOST:PORT"),
                );
            }
        }
        if c.tls.cert.is_some() != c.tls.key.is_some() {
            let (key, other) = if c.tls.cert.is_some() { ("tls.key", "tls.cert") } else { ("tls.cert", "tls.key") };
            self.problem(key, format!("{other} is set: the two go together"));
        }
        for (key, path) in [("tls.cert", &c.tls.cert), ("tls.key", &c.tls.key), ("tls.ca", &c.tls.ca)] {
            if let Some(path) = path
                && !path.is_file()
            {
                self.problem(key, format!("there is no file {}", path.display()));
            }
        }
    }

    fn credentials(&mut self, role: Role) {
        let security = &self.config.security;
        let tokens = [
            ("security.admin_token", &security.admin_token),
            ("security.worker_token", &security.worker_token),
            ("security.processor_token", &security.processor_token),
        ];
        let needed: &[&str] = match role {
            // Standalone makes what is missing; commands may use the token that it keeps.
            Role::Standalone | Role::Client => &[],
            Role::Scheduler => &["security.admin_token", "security.worker_token", "security.processor_token"],
            Role::Worker => &["security.worker_token"],
            Role::DagProcessor => &["security.processor_token"],
        };
        for (key, token) in tokens {
            if token.is_empty() {
                if needed.contains(&key) {
                    self.problem(key, "is not set: make one with `tradewind config generate-secrets`");
                }
            } else if let Some(why) = weakness(token) {
                self.problem(key, format!("{why}; make one with `tradewind config generate-secrets`"));
            }
        }
        for (index, (key, token)) in tokens.iter().enumerate() {
            if let Some((other, _)) = tokens[..index].iter().find(|(_, other)| !token.is_empty() && other == token) {
                self.problem(key, format!("is the same as {other}: each role has a token of its own"));
            }
        }
        let keys = &security.fernet_key;
        if !keys.is_empty() || role == Role::Scheduler {
            let keys: Vec<&str> = keys.split(',').collect();
            if let Err(error) = Fernet::new(&keys) {
                let hint = if security.fernet_key.is_empty() {
                    "; make one with `tradewind config generate-secrets`"
                } else {
                    ""
                };
                self.problem("security.fernet_key", format!("{error}{hint}"));
            }
        }
    }
}

fn is_http(address: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .filter_map(|scheme| address.strip_prefix(scheme))
        .any(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Why a token is no secret; the token itself is not part of it.
fn weakness(token: &str) -> Option<&'static str> {
    let lower = token.to_lowercase();
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Some("has characters that a header cannot carry (blanks, accents): use ASCII letters and digits");
    }
    if token.len() < TOKEN_MIN {
        return Some("is too short to be a secret: at least 32 characters");
    }
    // A known word, repeated or filled up, leaves few distinct characters besides it.
    let is_weak_word = WEAK_TOKENS.iter().any(|weak| distinct(&lower.replace(weak, "")) <= 4 && lower.contains(weak));
    if is_weak_word || distinct(&lower) < 10 {
        return Some("is easy to guess");
    }
    None
}

fn distinct(text: &str) -> usize {
    text.chars().collect::<std::collections::BTreeSet<_>>().len()
}
