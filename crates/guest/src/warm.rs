//! DAG files that are kept loaded: each in a zygote of its own, forked from the environment's, that forks the file's
//! tasks.
//!
//! A file becomes warm with the second task that it runs within the time that it may stay so. What cannot be kept
//! (`python/tradewind_guest/warm.py` decides that) is remembered, and its tasks load it themselves, as the first one did.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::api::{GuestEnv, GuestError, TaskLaunch};
use crate::control::{Control, FileZygote, lock};
use crate::task::{WorkingFolder, bytecode_dir};

/// Files kept loaded at once. Each costs what it imports beyond the SDK; see docs/benchmarks.md.
const MAX_WARM: usize = 8;
/// Files of which anything is remembered.
const MAX_KNOWN: usize = 1024;
/// How long a task waits for a file that is being loaded, before it loads it itself.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a load may take, observed and again.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a refused file is left alone. Its content does not change: what it depends on may.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// The content of a DAG file with all that it may import.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    bundle_dir: PathBuf,
    bundle_version: String,
    bundle_name: String,
    rel_path: String,
}

#[derive(Debug)]
enum State {
    /// A task of it ran.
    Seen,
    /// It is being loaded; the channel closes when that is over.
    Loading(watch::Receiver<()>),
    /// Loaded.
    Warm(Arc<Control>),
    Refused,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// When the state began, or for [`State::Seen`] when a task ran last.
    since: Instant,
    used: Instant,
    /// It was loaded under observation, and was fine.
    is_known: bool,
    /// Ends with the entry, and when another one takes its place.
    _keeper: Option<Running>,
}

/// The task that loads a file and ends its time; it ends with this.
#[derive(Debug)]
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Table = Mutex<HashMap<Key, Entry>>;

/// The DAG files that one environment keeps loaded.
#[derive(Debug)]
pub(crate) struct WarmFiles {
    lifetime: Duration,
    table: Arc<Table>,
}

impl WarmFiles {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, table: Arc::default() }
    }

    /// The process that has the task's file loaded, if there is one or will be at once.
    pub(crate) async fn find(&self, zygote: &Arc<Control>, env: &GuestEnv, task: &TaskLaunch) -> Option<Arc<Control>> {
        // A folder without a version may change at any moment.
        if self.lifetime.is_zero() || task.bundle_version.is_empty() {
            return None;
        }
        let key = Key {
            bundle_dir: task.bundle_dir.clone(),
            bundle_version: task.bundle_version.clone(),
            bundle_name: task.bundle_name.clone(),
            rel_path: task.dag_rel_path.clone(),
        };
        let mut loading = match self.look(&key, zygote, env, task) {
            Found::Warm(control) => return Some(control),
            Found::Nothing => return None,
            Found::Loading(loading) => loading,
        };
        // Ends when the sender is dropped.
        let _ = tokio::time::timeout(PATIENCE, loading.wait_for(|()| false)).await;
        match &lock(&self.table).get(&key)?.state {
            State::Warm(control) => Some(Arc::clone(control)),
            _ => None,
        }
    }

    fn look(&self, key: &Key, zygote: &Arc<Control>, env: &GuestEnv, task: &TaskLaunch) -> Found {
        let now = Instant::now();
        let mut table = lock(&self.table);
        let Some(entry) = table.get_mut(key) else {
            if table.len() >= MAX_KNOWN {
                forget_oldest(&mut table);
            }
            table.insert(
                key.clone(),
                Entry { state: State::Seen, since: now, used: now, is_known: false, _keeper: None },
            );
            return Found::Nothing;
        };
        let age = now - entry.since;
        entry.used = now;
        match &entry.state {
            State::Loading(loading) => return Found::Loading(loading.clone()),
            State::Warm(control) if control.is_alive() => return Found::Warm(Arc::clone(control)),
            State::Warm(..) => {
                // It was killed; loading it again at once could go on for ever.
                (entry.state, entry.since) = (State::Refused, now);
                return Found::Nothing;
            }
            State::Refused if age < REFUSED_FOR => return Found::Nothing,
            State::Seen if age > self.lifetime => {
                entry.since = now;
                return Found::Nothing;
            }
            State::Seen | State::Refused => {}
        }
        let is_known = entry.is_known;
        let (done, loading) = watch::channel(());
        let keeper = Keeper {
            env: env.clone(),
            task: task.clone(),
            is_known,
            zygote: Arc::downgrade(zygote),
            table: Arc::downgrade(&self.table),
            key: key.clone(),
            lifetime: self.lifetime,
        };
        let running = Running(tokio::spawn(keeper.run(done)).abort_handle());
        let state = State::Loading(loading.clone());
        *entry = Entry { state, since: now, used: now, is_known, _keeper: Some(running) };
        Found::Loading(loading)
    }

    pub(crate) fn pids(&self) -> Vec<(String, u32)> {
        let table = lock(&self.table);
        table
            .iter()
            .filter_map(|(key, entry)| match &entry.state {
                State::Warm(control) => Some((key.rel_path.clone(), control.pid())),
                _ => None,
            })
            .collect()
    }
}

enum Found {
    Warm(Arc<Control>),
    Loading(watch::Receiver<()>),
    Nothing,
}

/// Loads a file, and ends its time when that is over.
struct Keeper {
    env: GuestEnv,
    task: TaskLaunch,
    is_known: bool,
    zygote: Weak<Control>,
    table: Weak<Table>,
    key: Key,
    lifetime: Duration,
}

impl Keeper {
    async fn run(self, done: watch::Sender<()>) {
        let file = &self.task.dag_rel_path;
        let loaded = match self.load().await {
            Ok(FileZygote::Warm(control)) => {
                tracing::debug!(file, pid = control.pid(), "a DAG file is kept loaded");
                Some(control)
            }
            Ok(FileZygote::Refused(why)) => {
                tracing::info!(file, "the DAG file is loaded anew for each of its tasks: {why}");
                None
            }
            Err(error) => {
                tracing::warn!(file, "the DAG file could not be kept loaded: {error}");
                None
            }
        };
        let is_warm = loaded.is_some();
        self.settle(loaded);
        drop(done);
        if is_warm {
            tokio::time::sleep(self.lifetime).await;
            self.retire();
        }
    }

    async fn load(&self) -> Result<FileZygote, GuestError> {
        let Some(zygote) = self.zygote.upgrade() else {
            return Err(GuestError::ZygoteLost("it was given up".to_owned()));
        };
        // As a task has one of its own; nothing may be left in it.
        let folder = WorkingFolder::prepare(&self.env, None)?;
        let prelude = self.prelude(&folder);
        let loaded = tokio::time::timeout(LOAD_TIMEOUT, zygote.fork_zygote(&prelude)).await;
        folder.remove().await;
        loaded.unwrap_or_else(|_| {
            Ok(FileZygote::Refused(format!("loading it twice takes more than {} s", LOAD_TIMEOUT.as_secs())))
        })
    }

    fn prelude(&self, folder: &WorkingFolder) -> Value {
        json!({
            "bundle_name": self.task.bundle_name,
            "bundle_dir": self.task.bundle_dir,
            "dag_rel_path": self.task.dag_rel_path,
            "working_dir": folder.path(),
            "bytecode_dir": bytecode_dir(&self.env, &self.task.bundle_version),
            // What each task has in its environment with a value of its own.
            "own_env": self.task.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "is_known": self.is_known,
        })
    }

    /// Notes how the load went.
    fn settle(&self, loaded: Option<Control>) {
        let Some(table) = self.table.upgrade() else { return };
        let mut table = lock(&table);
        let Some(entry) = table.get_mut(&self.key) else { return };
        entry.since = Instant::now();
        entry.state = State::Refused;
        if let Some(control) = loaded {
            entry.is_known = true;
            entry.state = State::Warm(Arc::new(control));
        }
        while table.values().filter(|entry| entry.is_warm()).count() > MAX_WARM {
            let oldest = table.values_mut().filter(|entry| entry.is_warm()).min_by_key(|entry| entry.used);
            oldest.into_iter().for_each(Entry::cool);
        }
    }

    /// Its time is over: tasks that run go on, others are not forked from it. The process ends with the last one.
    fn retire(&self) {
        if let Some(table) = self.table.upgrade()
            && let Some(entry) = lock(&table).get_mut(&self.key)
        {
            entry.cool();
        }
    }
}

impl Entry {
    fn is_warm(&self) -> bool {
        matches!(self.state, State::Warm(..))
    }

    /// The next task makes it warm again, if it comes soon.
    fn cool(&mut self) {
        (self.state, self.since) = (State::Seen, self.used);
    }
}

/// Makes room for another file: for one that nobody needs.
fn forget_oldest(table: &mut HashMap<Key, Entry>) {
    let oldest = table.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
    if let Some(key) = oldest {
        table.remove(&key);
    }
}
