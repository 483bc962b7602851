//! What a worker is told at start.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tradewind_config::{WorkerOptions, XComOptions};
use tradewind_environments::EnvironmentOptions;
use tradewind_objects::Storage;
use tradewind_types::{QueueName, WorkerName};

/// The settings of one worker.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Its name, unique among the workers that live.
    pub name: WorkerName,
    /// The queues that it serves; at least one.
    pub queues: Vec<QueueName>,
    /// Attempts that it runs at once; at least one.
    pub slots: u32,
    /// Triggers of deferred task instances that it runs at once; 0 runs none.
    pub trigger_slots: u32,
    /// How long a callback may take.
    pub callback_timeout: Duration,
    /// Its own folder: bundle cache and scratch folders. No other worker may use it.
    pub dir: PathBuf,
    /// The folder that all Python tasks start in; none for one of its own for each try.
    pub task_dir: Option<PathBuf>,
    /// Environment that tasks see besides `PATH`, `HOME`, `LANG`, `LC_*` and `TZ`.
    pub env: Vec<(String, String)>,
    /// How long running attempts may go on after a drain begins; then they are stopped and given back.
    pub drain_grace: Duration,
    /// Between SIGTERM and SIGKILL of a task that is stopped.
    pub kill_grace: Duration,
    /// Bytes of the bundle cache before the least recently used bundles go.
    pub bundle_cache_bytes: u64,
    /// How the environments of DAG files are built and kept; they lie in this worker's folder when no other is named.
    pub environments: EnvironmentOptions,
    /// Largest XCom in bytes.
    pub xcom_max_bytes: u64,
    /// Where large XComs are kept; without it, those that do not fit into a row fail their task.
    pub xcom_storage: Option<Storage>,
    /// Free-form facts for `workers list`.
    pub labels: BTreeMap<String, String>,
}

impl WorkerSettings {
    /// The settings that the configuration means: an empty name is host name and process id, no slots are four a core.
    /// `default_dir` is used when the configuration names no folder.
    ///
    /// # Errors
    /// Names the option that is wrong.
    pub fn from_options(options: &WorkerOptions, default_dir: PathBuf) -> Result<Self, String> {
        let name = match options.name.as_str() {
            "" => format!("{}-{}", hostname(), std::process::id()),
            name => name.to_owned(),
        };
        tradewind_types::check_key("worker name (worker.name)", &name)?;
        let mut queues: Vec<QueueName> = Vec::new();
        for queue in &options.queues {
            tradewind_types::check_key("queue (worker.queues)", queue)?;
            if !queues.iter().any(|known| known.as_str() == queue) {
                queues.push(QueueName::new(queue));
            }
        }
        if queues.is_empty() {
            return Err("worker.queues is empty: name at least one queue, e.g. [\"default\"]".to_owned());
        }
        let seconds = |option: &str, value: f64| {
            Duration::try_from_secs_f64(value).map_err(|_| format!("{option}: {value} is not a number of seconds"))
        };
        let slots = match options.slots {
            0 => std::thread::available_parallelism()
                .map_or(4, |cores| u32::try_from(cores.get()).unwrap_or(1).saturating_mul(4)),
            slots => slots,
        };
        Ok(Self {
            name: name.into(),
            queues,
            slots,
            trigger_slots: options.trigger_slots,
            callback_timeout: seconds("worker.callback_timeout_secs", options.callback_timeout_secs)?,
            dir: options.dir.clone().unwrap_or(default_dir),
            task_dir: options
                .task_dir
                .as_ref()
                // Tasks start in the zygote's folder, which is not ours.
                .map(|dir| std::path::absolute(dir).map_err(|error| format!("worker.task_dir: {error}")))
                .transpose()?,
            env: options.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            drain_grace: seconds("worker.drain_grace_secs", options.drain_grace_secs)?,
            kill_grace: seconds("worker.kill_grace_secs", options.kill_grace_secs)?,
            bundle_cache_bytes: options.bundle_cache_bytes,
            environments: EnvironmentOptions::default(),
            xcom_max_bytes: XComOptions::default().max_bytes,
            xcom_storage: None,
            labels: BTreeMap::new(),
        })
    }

    /// Where environments of DAG files lie, and how they are kept.
    pub(crate) fn environment_options(&self) -> EnvironmentOptions {
        let dir = self.environments.dir.clone().unwrap_or_else(|| self.dir.join("environments"));
        EnvironmentOptions { dir: Some(dir), ..self.environments.clone() }
    }

    /// The environment that native tasks start from: a few variables of this process, then the configured ones.
    pub(crate) fn task_env(&self) -> Vec<(String, String)> {
        const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"];
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| INHERITED.contains(&name.as_str()) || name.starts_with("LC_"))
            .chain(self.env.iter().cloned())
            .collect()
    }
}

/// The name of this machine.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in() {
        let settings = WorkerSettings::from_options(&WorkerOptions::default(), "/w".into()).unwrap();
        assert!(settings.name.as_str().ends_with(&format!("-{}", std::process::id())));
        assert!(settings.slots >= 4);
        assert_eq!(settings.dir, PathBuf::from("/w"));
        assert_eq!(settings.task_dir, None);
    }

    #[test]
    fn the_folder_of_tasks_is_absolute() {
        let options = WorkerOptions { task_dir: Some("tasks".into()), ..WorkerOptions::default() };
        let settings = WorkerSettings::from_options(&options, "/w".into()).unwrap();
        assert_eq!(settings.task_dir, Some(std::env::current_dir().unwrap().join("tasks")));
    }

    #[test]
    fn wrong_options_are_named() {
        let of = |change: fn(&mut WorkerOptions)| {
            let mut options = WorkerOptions::default();
            change(&mut options);
            WorkerSettings::from_options(&options, "/w".into()).unwrap_err()
        };
        assert!(of(|options| options.queues.clear()).contains("worker.queues"));
        assert!(of(|options| options.queues = vec!["a b".to_owned()]).contains("worker.queues"));
        assert!(of(|options| options.drain_grace_secs = -1.0).contains("worker.drain_grace_secs"));
        assert!(of(|options| options.name = "a/b".to_owned()).contains("worker.name"));
    }
}
