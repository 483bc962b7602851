//! The warm Python processes: one for the installation's environment, and one for each environment of a DAG that is in use.
//! Each is started when it is needed first, or ahead of that, and again when it died. Those of environments that nobody
//! uses end after a while.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tradewind_environments::{EnvironmentError, EnvironmentOptions, Environments, Prepared};
use tradewind_guest::{GuestEnv, GuestError, Zygote};
use tradewind_types::Environment;

/// The longest time between two looks for idle processes.
const TIDY: Duration = Duration::from_secs(15);

/// Keeps one zygote.
struct ZygoteKeeper {
    env: GuestEnv,
    current: tokio::sync::Mutex<Option<Arc<Zygote>>>,
    /// Keeps its environment from being removed; none for that of the installation.
    prepared: Option<Arc<Prepared>>,
    used: Mutex<Instant>,
}

impl ZygoteKeeper {
    fn new(env: GuestEnv, prepared: Option<Arc<Prepared>>) -> Self {
        Self { env, current: tokio::sync::Mutex::new(None), prepared, used: Mutex::new(Instant::now()) }
    }

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The living zygote; starts one if there is none. All who come meanwhile wait for the same one.
    async fn get(&self) -> Result<Arc<Zygote>, GuestError> {
        let mut current = self.current.lock().await;
        if let Some(zygote) = current.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(zygote));
        }
        if current.take().is_some() {
            tracing::warn!("the Python zygote died; starting another one");
        }
        let zygote = Arc::new(Zygote::start(self.env.clone()).await?);
        *current = Some(Arc::clone(&zygote));
        Ok(zygote)
    }

    /// Whether something runs in it, or is about to.
    fn is_busy(&self) -> bool {
        // Whoever starts one holds the lock.
        self.current
            .try_lock()
            .map_or(true, |zygote| zygote.as_ref().is_some_and(|zygote| Arc::strong_count(zygote) > 1))
    }

    /// Ends the zygote and whatever it still runs.
    async fn shutdown(&self) {
        if let Some(zygote) = self.current.lock().await.take() {
            match Arc::try_unwrap(zygote) {
                Ok(zygote) => zygote.shutdown().await,
                // A task that was given up holds it; it dies with the last handle.
                Err(shared) => drop(shared),
            }
        }
    }
}

/// All zygotes of a worker.
pub(crate) struct Zygotes {
    own: Arc<ZygoteKeeper>,
    environments: Arc<Environments>,
    /// Those of environments, by key.
    others: Mutex<HashMap<String, Arc<ZygoteKeeper>>>,
}

impl Zygotes {
    pub(crate) fn new(env: GuestEnv, options: EnvironmentOptions) -> Self {
        Self {
            own: Arc::new(ZygoteKeeper::new(env.clone(), None)),
            environments: Environments::new(options, env),
            others: Mutex::default(),
        }
    }

    fn others(&self) -> MutexGuard<'_, HashMap<String, Arc<ZygoteKeeper>>> {
        // The map is sound between any two statements, so a panic elsewhere does not spoil it.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An environment, built if it is not there; `root` holds the files of its definition.
    pub(crate) async fn prepare(
        &self,
        environment: &Environment,
        root: &Path,
    ) -> Result<Arc<Prepared>, EnvironmentError> {
        self.environments.prepare(environment, root).await
    }

    /// The zygote of an environment; without one, that of the installation. It lives while somebody holds it.
    pub(crate) async fn get(&self, environment: Option<&Arc<Prepared>>) -> Result<Arc<Zygote>, GuestError> {
        let Some(prepared) = environment else { return self.own.get().await };
        let keeper = {
            let mut others = self.others();
            let keeper = others.entry(prepared.key().to_owned()).or_insert_with(|| {
                tracing::info!(name = prepared.name(), key = prepared.key(), "starting Python in an environment");
                Arc::new(ZygoteKeeper::new(prepared.guest().clone(), Some(Arc::clone(prepared))))
            });
            *keeper.used() = Instant::now();
            Arc::clone(keeper)
        };
        keeper.get().await
    }

    /// How long an environment's processes are kept without work.
    pub(crate) fn idle(&self) -> Duration {
        self.environments.options().idle
    }

    /// Ends the processes of environments that nobody uses. Runs until it is dropped.
    pub(crate) async fn keep_tidy(&self) {
        let idle = self.idle();
        loop {
            tokio::time::sleep((idle / 2).clamp(Duration::from_millis(500), TIDY)).await;
            self.tidy().await;
        }
    }

    async fn tidy(&self) {
        let options = self.environments.options();
        let leaving: Vec<Arc<ZygoteKeeper>> = {
            let mut others = self.others();
            for keeper in others.values() {
                // Whoever was given the keeper and has no zygote yet holds it.
                if Arc::strong_count(keeper) > 1 || keeper.is_busy() {
                    *keeper.used() = Instant::now();
                }
            }
            let mut by_use: Vec<(Duration, String)> =
                others.iter().map(|(key, keeper)| (keeper.used().elapsed(), key.clone())).collect();
            by_use.sort();
            let leaves =
                |rank: usize, unused: Duration| unused >= options.idle || (rank >= options.warm && !unused.is_zero());
            let leaving: Vec<String> = by_use
                .into_iter()
                .enumerate()
                .filter(|(rank, (unused, key))| {
                    let is_free =
                        others.get(key).is_some_and(|keeper| Arc::strong_count(keeper) == 1 && !keeper.is_busy());
                    is_free && leaves(*rank, *unused)
                })
                .map(|(_, (_, key))| key)
                .collect();
            leaving.iter().filter_map(|key| others.remove(key)).collect()
        };
        for keeper in leaving {
            keeper.shutdown().await;
            let name = keeper.prepared.as_ref().map(|prepared| prepared.name());
            tracing::info!(name, "Python in an environment had nothing to do and was ended");
        }
    }

    /// Ends all zygotes and whatever they still run.
    pub(crate) async fn shutdown(&self) {
        let others: Vec<Arc<ZygoteKeeper>> = self.others().drain().map(|(_, keeper)| keeper).collect();
        for keeper in others.iter().chain([&self.own]) {
            keeper.shutdown().await;
        }
    }
}
